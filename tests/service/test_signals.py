"""Signals that come at any moment, and many at once, stop nothing but what they ask for."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from edge.cli._leave import stop_on_signals
from edge.line.stop_sign import StopFlag, StopSign
from edge.service import signals


@pytest.fixture(autouse=True)
def no_signal_is_late(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # while ``AGAIN_S`` is still long
    """A signal may wait for a thread that has no core yet, and come when the handlers of before are back.

    That must be neither those of Python, which end the tests, nor one of a daemon that was asked to stop. What still waits
    is thrown away by the kernel as soon as its signal is ignored.
    """
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, signal.SIG_IGN)
        signal.signal(number, handler)


@contextmanager
def daemon() -> Iterator[StopSign]:
    stop, asked = StopFlag(), []
    with signals.signals(stop, lambda: asked.append(1)):
        yield stop


@contextmanager
def command() -> Iterator[StopSign]:
    yield stop_on_signals()


@pytest.mark.parametrize(
    ("begun", "number"),
    [(daemon, signal.SIGTERM), (daemon, signal.SIGHUP), (command, signal.SIGINT)],
    ids=["stop of a daemon", "reload of a daemon", "Ctrl-C of a command"],
)
def test_a_signal_inside_a_wait_is_no_deadlock(
    begun: Callable[[], Iterator[StopSign]], number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread is inside ``wait`` nearly always. With an Event in the flag's place it stood after a few hundred."""
    monkeypatch.setattr(signals, "AGAIN_S", 600.0)
    over = threading.Event()

    def send() -> None:
        for _ in range(800):
            os.kill(os.getpid(), number)
            time.sleep(0.0001)
        over.set()

    thread = threading.Thread(target=send)
    with begun() as stop:  # type: ignore[attr-defined]
        thread.start()
        while not over.is_set():
            stop.wait(0.0002)
            time.sleep(0.00005)  # a flag that is set waits no more, and would leave the sender no time
        thread.join()
        assert stop.is_set() == (number != signal.SIGHUP)
