"""One page for all of these tests, and a browser for each file; every test has a window of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support.browsers import Look, RunningPage, chromium, running_browser
from support.live_line import LiveLine
from support.records import DRIFT, REGION
from support.shift_reports import blocks, write_report

from edge.frames import Fault

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for one file of tests: while it is open no other can be started, nor a loop of asyncio run."""
    with running_browser() as found:
        yield found


@pytest.fixture(scope="session")
def lines(tmp_path_factory) -> Iterator[list[LiveLine]]:
    """Two lines that inspect twenty parts a second, of which each fifth fails; the second has hostile trouble."""
    chromium()
    folder = tmp_path_factory.mktemp("lines")
    made = [
        LiveLine(folder / "cam1", "cam1"),
        LiveLine(folder / "cam2", "cam2", recipe_id=HOSTILE),
    ]
    stop = threading.Event()

    def work() -> None:
        for block in blocks():
            made[0].say(drift=DRIFT | {"since_ns": 1_700_000_000_000_000_000}, drift_block=block)
            stop.wait(0.05)
        made[1].say(Fault("output_jsonl", 1, HOSTILE))
        while not stop.wait(0.05):
            for line in made:
                fails = line.seq % 5 == 4
                line.inspect("fail" if fails else "pass", regions=(REGION,) if fails else (), map_max=0.7 if fails else 0.3)
                if line.seq % 5 == 0:
                    line.beat()

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    yield made
    stop.set()
    worker.join()
    for line in made:
        line.close()


@pytest.fixture(scope="session")
def web(tmp_path_factory, lines) -> Iterator[RunningPage]:
    folder = tmp_path_factory.mktemp("web")
    write_report(folder / "shifts" / "week48.json")
    page = RunningPage(folder, [line.folder for line in lines], ["cam1", "cam2"], "shifts: [shifts]\n")
    yield page
    page.close()


@pytest.fixture
def look(browser, web) -> Iterator[Look]:
    window = Look(browser, web)
    window.log_in()
    yield window
    window.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)
