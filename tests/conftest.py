"""What every test is held to: it gives back the sockets and threads it took."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support import gentl_proxy
from support.daemons import Manager

from edge.sources.genicam import source as genicam
from edge.storage.pictures import silence_opencv

silence_opencv()  # FFmpeg reads its level when the first stream is opened, which may be a test's own

# how fast an example is made says nothing about the program; the same ones each time, so that nobody's work is stopped by
# what somebody else's change met by chance: --hypothesis-profile "new examples" looks for more
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("new examples", _PATIENT)
settings.register_profile("any machine", _PATIENT, derandomize=True)
settings.load_profile("any machine")

GRACE_S = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Fails a test that leaves a ZeroMQ context (with its sockets) open or a thread that would hold up the exit."""
    threads, zmq_threads = set(threading.enumerate()), _zmq_threads()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    yield
    for number, handler in handlers.items():  # a daemon that was stopped leaves its own, which end the process
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
    end = time.monotonic() + GRACE_S
    while (left := _left(threads, zmq_threads)) and time.monotonic() < end:
        time.sleep(0.01)
    assert not left, f"the test leaks {', '.join(left)}"


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> gentl_proxy.Proxy:
    """The fault-injecting GenTL producer, loaded once: the camera library keeps it."""
    pytest.importorskip("genicam", reason="the extra 'camera' is not installed")
    if gentl_proxy.compiler() is None:
        pytest.skip("no C compiler to build the fault-injecting GenTL producer")
    return gentl_proxy.Proxy(gentl_proxy.build(tmp_path_factory.mktemp("gentl")))


@pytest.fixture
def proxy(built: gentl_proxy.Proxy) -> Iterator[gentl_proxy.Proxy]:
    """The same without faults, and with an empty ledger."""
    built.reset()
    yield built
    built.reset()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """What systemd is to a daemon in a process of its own."""
    manager = Manager(tmp_path)
    yield manager
    manager.close()


@pytest.fixture
def hasty(monkeypatch) -> None:
    """The same waits, a tenth as long."""
    monkeypatch.setattr(genicam, "SILENT_S", 0.1)
    monkeypatch.setattr(genicam, "BACKOFF_S", (0.05, 0.2))


def _left(threads: set[threading.Thread], zmq_threads: set[int]) -> list[str]:
    left = [f"thread {t.name}" for t in threading.enumerate() if t not in threads and not t.daemon]
    # a context has its background threads from its first socket until it is terminated, which no open socket survives
    return left + (["a ZeroMQ context"] if _zmq_threads() - zmq_threads else [])


def _zmq_threads() -> set[int]:
    found = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            if (task / "comm").read_text().startswith("ZMQbg"):
                found.add(int(task.name))
        except OSError:  # it ended meanwhile
            continue
    return found
