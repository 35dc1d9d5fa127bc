"""Good frames whose maxima vary as maxima do are no outliers; one that holds a defect is."""

from __future__ import annotations

import numpy as np
import pytest

from edge.models.fit.contamination import HeldOutScore, outliers_of


def listed(maxima: np.ndarray) -> list[str]:
    found = outliers_of([HeldOutScore(index, str(index), float(value)) for index, value in enumerate(maxima)])
    return [outlier.name for outlier in found]


@pytest.mark.parametrize(("frames", "places"), [(10, 2000), (20, 2000), (20, 10_000), (60, 10_000)])
def test_of_good_frames_hardly_a_set_has_an_outlier(frames: int, places: int) -> None:
    """Of 20 frames the lower half says little about the spread: in 8 of 60 sets good frames were listed."""
    rng = np.random.default_rng(0)
    sets = [np.abs(rng.standard_normal((frames, places), dtype=np.float32)).max(axis=1) for _ in range(60)]
    assert sum(bool(listed(maxima)) for maxima in sets) <= 1


def test_a_frame_that_stands_half_above_the_others_is_listed_however_alike_they_are() -> None:
    alike = np.full(20, 3.0)
    alike[7] = 4.3
    assert listed(alike) == []
    alike[7] = 4.6
    alike[12] = 9.0
    assert listed(alike) == ["12", "7"]
