"""Ctrl-C in a replay, at any moment: ``stopping`` at once, exit code 130, whole files, never an abort."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.commands import edge
from support.lines import loaded
from support.terminals import OnTerminal

from edge.storage.log_files import read_records

FRAMES = 600
REPLAY = ("replay", "pictures", "-c", "cam1.yaml", "--set", "regions.threshold={high: 0.5}", "--explain")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line, pictures enough for some seconds, and records of an earlier replay."""
    folder = tmp_path_factory.mktemp("interrupt")
    loaded(folder)
    (folder / "pictures").mkdir()
    for index in range(FRAMES):
        pixels = np.full((64, 64), 50, np.uint8)
        pixels[10:20, 30:40] = 200
        assert cv2.imwrite(str(folder / "pictures" / f"{index:04d}.png"), pixels)
    assert edge(folder, *REPLAY[:4], "-o", "before").returncode == 0
    return folder


def interrupted(line: Path, out: str, moment: Callable[[OnTerminal, Path], None]) -> tuple[int, str, int]:
    """The exit code, the text, and how many whole records there are."""
    with closing(OnTerminal(line, *REPLAY, "--against", "before/records.jsonl", "-o", out)) as replay:
        moment(replay, line / out)
        replay.press_ctrl_c()
        code = replay.code()
        counts: dict[str, int] = {}
        path = line / out / "records.jsonl"
        records = sum(1 for _ in read_records(path, counts)) if path.exists() else 0
        assert counts.get("unreadable", 0) == 0
        return code, replay.text, records


def test_while_pictures_are_drawn(line: Path) -> None:
    def moment(replay: OnTerminal, out: Path) -> None:
        replay.wait_until(lambda: sum(1 for _ in (out / "explain").glob("*")) > 5 if out.exists() else False)

    code, text, records = interrupted(line, "drawing", moment)
    assert code == 130
    assert "stopping" in text
    assert f"interrupted after {records} of {FRAMES} frames" in text
    assert 0 < records < FRAMES


def test_as_soon_as_there_is_a_folder(line: Path) -> None:
    code, text, _ = interrupted(line, "early", lambda replay, out: replay.wait_until(out.exists))
    assert code == 130
    assert "stopping" in text


def test_before_it_has_begun(line: Path) -> None:
    code, text, records = interrupted(line, "imports", lambda replay, _out: replay.wait_until_it_imports())
    assert (code, records) == (130, 0)
    assert "Traceback" not in text


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_fifty_times_anywhere(line: Path) -> None:
    """Half of them while it starts, half after some number of pictures: from the first one to a tenth of all."""
    rng = random.Random(0)

    def starting(replay: OnTerminal, _out: Path) -> None:
        replay.wait_until_it_imports()
        time.sleep(rng.uniform(0.0, 3.0))

    def drawing(replay: OnTerminal, out: Path) -> None:
        pictures = rng.randrange(FRAMES // 10)
        replay.wait_until(lambda: out.exists() and sum(1 for _ in (out / "explain").glob("*")) > pictures)

    for number in range(50):
        code, text, _ = interrupted(line, f"try{number}", drawing if number % 2 else starting)
        assert code == 130, (number, text)
        assert "terminate called" not in text
        assert "Traceback" not in text
