"""A standard error that nobody reads holds up nobody."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from edge.service.log_lines import WAITING, LogLines


class Stuck:
    """A file whose writes block until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.text = ""

    def write(self, text: str) -> int:
        self.go.wait()
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


class Gone:
    """A file that raises."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    def flush(self) -> None:
        raise BrokenPipeError(32, "Broken pipe")


def test_lines_wait_up_to_an_end_and_what_was_dropped_is_counted_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck()
    monkeypatch.setattr(sys, "stderr", stuck)
    lines = LogLines()
    lines.write("first\n")
    while not lines._queue.empty():
        time.sleep(0.001)
    began = time.monotonic()
    for number in range(WAITING + 500):
        lines.write(f"line {number}")
        lines.write("\n")
    lines.drain(0.05)
    assert time.monotonic() - began < 20
    assert lines.dropped == 500
    stuck.go.set()
    lines.drain(20.0)
    told = stuck.text.splitlines()
    assert told[:2] == ["first", '{"event": "log_lines_dropped", "lines": 500}']
    assert told[2:] == [f"line {number}" for number in range(WAITING)]


@pytest.mark.parametrize("stderr", [None, Gone()])
def test_one_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch, stderr: object) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    lines = LogLines()
    lines.write("a\nb\n")
    lines.drain(20.0)
    assert lines._queue.empty()
    assert lines._thread.is_alive()
