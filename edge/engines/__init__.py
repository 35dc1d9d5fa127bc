"""A prepared picture becomes an anomaly map here, by one of several runtimes."""

from edge.engines.open import open_engine
from edge.engines.protocol import Engine, Prediction, Samples

__all__ = ["Engine", "Prediction", "Samples", "open_engine"]
