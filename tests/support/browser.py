"""A headless Chromium of the system for tests of pages; without one they skip with a sentence."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config.web import SessionsConfig
from edge.web.doors.account_book import AccountBook
from edge.web.doors.guard import COOKIE
from edge.web.doors.roles import Role

NAME, PASSWORD = "tester", "a long enough password"


def chromium() -> str:
    """Return the browser's path. Without one the test skips, or fails where EDGE_BROWSER_TESTS=1 says that it must run."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    why = None if found else "no Chromium is installed: apt-get install --no-install-recommends chromium"
    try:
        import playwright  # noqa: F401
    except ImportError:
        why = "playwright is not installed: pip install -e .[dev]"
    if why is not None:
        if os.environ.get("EDGE_BROWSER_TESTS") == "1":
            pytest.fail(why)
        pytest.skip(why)
    assert found is not None
    return found


@contextlib.contextmanager
def served(folder: Path, config: Path, *, role: Role = Role.ENGINEER, more: str = "") -> Iterator[tuple[str, str]]:
    """Run ``edge web`` over one line's config; yield its address and the secret of a session."""
    runtime = folder / "runtime" / "cam1"
    runtime.mkdir(parents=True)
    (runtime / "instance.json").write_text(f'{{"camera": "cam1", "config": "{config}", "overrides": []}}')
    (runtime / "endpoints.json").write_text("{}")
    (folder / "page").mkdir()
    book = AccountBook(folder / "page", SessionsConfig())
    book.add_user(NAME, role, PASSWORD, None)
    secret = book.log_in(NAME, PASSWORD, "test")
    book.close()
    settings = folder / "web.yaml"
    settings.write_text(f"bind: 127.0.0.1:0\ndir: page\nlines: [runtime/cam1]\n{more}")
    command = [sys.executable, "-m", "edge", "web", "-c", str(settings)]
    page = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert page.stdout is not None
    try:
        address = next(found[0] for line in page.stdout if (found := re.search(r"http://[\d.:]+", line)))
        reading = threading.Thread(target=page.stdout.read)
        reading.start()
        yield address, str(secret)
    finally:
        page.terminate()
        page.wait(20)
        reading.join()
        page.stdout.close()


@contextlib.contextmanager
def visit(
    address: str, secret: str, *, width: int = 1280, height: int = 800, **more: Any
) -> Iterator[tuple[Any, list[str]]]:
    """Open a browser's page with a session; yield it with what went wrong on it: console errors and foreign requests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        context.set_default_timeout(40_000)
        context.add_cookies([{"name": COOKIE, "value": secret, "url": address}])
        page, wrong = context.new_page(), []
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, "blob:", "data:", address.replace("http", "ws")))
                else wrong.append(request.url)
            ),
        )
        try:
            yield page, wrong
        finally:
            browser.close()
