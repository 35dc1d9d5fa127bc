"""Engine files on disk: whole, of the right key, or not at all; and never more than eight models' worth."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog

from edge.engines.tensorrt.engine_cache import KEEP, EngineCache
from edge.errors import UserError

KEY = {"model": "m", "gpu": "g"}


def test_what_was_stored_is_loaded(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "deep" / "tensorrt")
    assert cache.load(KEY) is None
    cache.store(KEY, b"payload")
    cache.store(KEY, b"kernels", "kernels")
    assert (cache.load(KEY), cache.load(KEY, "kernels")) == (b"payload", b"kernels")
    assert cache.load({**KEY, "gpu": "h"}) is None
    assert not [path for path in cache.folder.iterdir() if path.name.startswith(".")]


def test_a_file_under_a_wrong_name_is_not_trusted(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    cache.store(KEY, b"payload")
    other = {**KEY, "gpu": "h"}
    cache._path(KEY, "engine").rename(cache._path(other, "engine"))
    with structlog.testing.capture_logs() as logs:
        assert cache.load(other) is None
    assert [entry["why"] for entry in logs] == ["it belongs to another model, GPU or TensorRT"]


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        EngineCache(tmp_path / "file" / "tensorrt")
    assert str(caught.value) == (
        f"{tmp_path}/file/tensorrt: the cache of TensorRT's engine files cannot be written\n"
        "  received: Not a directory\n"
        "  fix: make it writable for this user, or set CACHE_DIRECTORY to a folder that is (a unit's CacheDirectory= does)"
    )


def test_a_write_that_fails_leaves_the_old_file_and_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EngineCache(tmp_path)
    cache.store(KEY, b"old")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with structlog.testing.capture_logs() as logs:
        cache.store(KEY, b"new")
    assert logs == [
        {
            "event": "tensorrt_cache_not_written",
            "path": str(cache._path(KEY, "engine")),
            "why": "No space left on device",
            "effect": "the next start makes it again",
            "log_level": "warning",
        }
    ]
    assert cache.load(KEY) == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_files_used_longest_ago_make_room(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    for number in range(KEEP):
        key = {"model": str(number)}
        cache.store(key, b"e")
        cache.store(key, b"k", "kernels")
        for kind in ("engine", "kernels"):
            os.utime(cache._path(key, kind), (1000 + number, 1000 + number))
    assert cache.load({"model": "0"}) == b"e", "a use makes it young again"
    cache.store({"model": "new"}, b"e")
    left = [number for number in range(KEEP) if cache.load({"model": str(number)}) is not None]
    assert left == [0, *range(2, KEEP)]
    assert not cache._path({"model": "1"}, "kernels").exists()
