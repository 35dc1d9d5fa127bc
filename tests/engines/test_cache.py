"""A cache keeps what was used last, and never grows beyond its bound."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support.graphs import write_identity_bundle

from edge.config.bundle import load_bundle
from edge.engines import cache
from edge.engines.cache import shrink_cache
from edge.engines.openvino import OpenvinoEngine

DAY_S = 86400.0


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def blob(folder: Path, name: str, *, written_days: float, read_days: float | None = None) -> None:
    (folder / name).write_bytes(bytes(100))
    now = time.time()
    read_days = written_days if read_days is None else read_days
    os.utime(folder / name, (now - read_days * DAY_S, now - written_days * DAY_S))


def test_those_used_longest_ago_go_until_the_rest_fits(tmp_path: Path) -> None:
    for days in (1, 2, 3, 4, 5):
        blob(tmp_path, f"{days}.blob", written_days=days)
    assert [path.name for path in shrink_cache(tmp_path, 300)] == ["5.blob", "4.blob"]
    assert kept(tmp_path) == ["1.blob", "2.blob", "3.blob"]


def test_an_old_file_that_is_still_read_stays(tmp_path: Path) -> None:
    blob(tmp_path, "old.blob", written_days=100, read_days=1)
    blob(tmp_path, "newer.blob", written_days=50)
    shrink_cache(tmp_path, 100)
    assert kept(tmp_path) == ["old.blob"]


def test_a_cache_within_its_bound_and_files_of_the_last_hour_stay(tmp_path: Path) -> None:
    for number in range(5):
        blob(tmp_path, f"{number}.blob", written_days=0.01)
    assert shrink_cache(tmp_path, 500) == []
    assert shrink_cache(tmp_path, 100) == []
    assert len(kept(tmp_path)) == 5


def test_a_file_that_another_line_deleted_first_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blob(tmp_path, "gone.blob", written_days=3)
    blob(tmp_path, "there.blob", written_days=2)
    real = Path.unlink

    def raced(path: Path, *args: bool) -> None:
        real(path, *args)
        if path.name == "gone.blob":
            raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "unlink", raced)
    assert [path.name for path in shrink_cache(tmp_path, 50)] == ["there.blob"]
    assert kept(tmp_path) == []


def test_an_engine_that_opens_brings_its_cache_within_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "MOST_BYTES", 0)
    folder = tmp_path / "cache" / "openvino"
    folder.mkdir(parents=True)
    blob(folder, "1234.blob", written_days=400)
    write_identity_bundle(tmp_path / "b")
    engine = OpenvinoEngine(load_bundle(tmp_path / "b"))
    engine.warm_up()
    engine.close()
    assert not (folder / "1234.blob").exists()
