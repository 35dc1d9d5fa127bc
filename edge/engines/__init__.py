"""A prepared picture becomes an anomaly map here, by one of several runtimes."""

from edge.engines.open import open_engine
from edge.engines.protocol import Engine, Prediction, SamplePictures

__all__ = ["Engine", "Prediction", "SamplePictures", "open_engine"]
