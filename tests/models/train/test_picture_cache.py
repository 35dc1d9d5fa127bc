"""The files of cached pictures are on the disk before the index that calls them whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.models.train import feature_cache, picture_cache
from edge.models.train.feature_cache import CachedPicture, fill_cache
from edge.models.train.picture_cache import DrawnPicture, fill_pictures


def fill_both(folder: Path, count: int) -> None:
    grey = np.full((8, 8, 1), 9, np.uint8)
    fill_pictures(folder, "k", (DrawnPicture("train", "good", "good", grey, None) for _ in range(count)))


def fill_features(folder: Path, count: int) -> None:
    values = np.ones((2, 2, 3), np.float32)
    fill_cache(folder, "k", 3, (CachedPicture("train", "good", "good", values, None) for _ in range(count)))


@pytest.mark.parametrize(
    ("fill", "files"),
    [
        (fill_both, (picture_cache.PICTURES, picture_cache.MASKS)),
        (fill_features, (feature_cache.FEATURES, feature_cache.TARGETS)),
    ],
)
def test_all_pixels_are_on_the_disk_before_the_index_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: Callable[[Path, int], None], files: tuple[str, str]
) -> None:
    synced: list[tuple[int, int]] = []
    real = os.fsync

    def watched(fd: int) -> None:
        state = os.fstat(fd)
        synced.append((state.st_ino, state.st_size))
        real(fd)

    monkeypatch.setattr(os, "fsync", watched)
    fill(tmp_path, 3)
    index = picture_cache.INDEX if picture_cache.PICTURES in files else feature_cache.INDEX
    whole = [(state.st_ino, state.st_size) for state in ((tmp_path / name).stat() for name in (*files, index))]
    *of_pixels, of_index = (synced.index(one) for one in whole)
    assert max(of_pixels) < of_index, "the index comes last"


def test_no_usable_picture_gives_an_empty_cache(tmp_path: Path) -> None:
    assert fill_pictures(tmp_path, "k", ()).kept == ()
    assert fill_cache(tmp_path, "k", 3, ()).samples == ()
