"""The least standard deviation of each statistic, as the arrays of the drift's figures are reckoned with it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.drift.statistics import STATISTICS

FLOORS: Final[NDArray[np.float64]] = np.array([statistic.floor for statistic in STATISTICS])
"""(19,), in the order of ``STATISTICS``."""
