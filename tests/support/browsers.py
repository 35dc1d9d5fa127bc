"""A browser before a running page: the system's Chromium, headless, driven by Playwright."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config.web import SessionsConfig
from edge.web.doors.account_book import AccountBook
from edge.web.doors.roles import Role
from support.pages import PASSWORD
from support.waits import PATIENCE_S

SIZES = {"laptop": (1280, 800), "wall": (1920, 1080), "phone": (390, 844)}


def chromium() -> str:
    """The path of the system's Chromium. Without one the test is skipped, or fails where EDGE_BROWSER_TESTS=1 says so."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    missing = None if path else "no Chromium is installed: apt install chromium"
    if importlib.util.find_spec("playwright") is None:
        missing = "playwright is not installed: pip install playwright axe-playwright-python"
    if missing is not None:
        if os.environ.get("EDGE_BROWSER_TESTS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    assert path is not None
    return path


class RunningPage:
    """``edge web`` in a process of its own, and accounts in its folder."""

    def __init__(self, folder: Path, lines: list[Path], cameras: list[str] | None = None, more: str = "") -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.cameras = folder, cameras
        (folder / "web.yaml").write_text(f"bind: 127.0.0.1:0\ndir: state\nlines: [{', '.join(map(str, lines))}]\n{more}")
        self.add_user("ann", Role.ADMIN)
        self._out = (folder / "out").open("w+")
        command = [sys.executable, "-m", "edge", "web", "-c", str(folder / "web.yaml")]
        self.process = subprocess.Popen(command, stderr=self._out)
        self.url = self._address()

    def add_user(self, name: str, role: Role) -> None:
        with contextlib.closing(AccountBook(self.folder / "state", SessionsConfig())) as accounts:
            accounts.add_user(name, role, PASSWORD, self.cameras)

    def revoke(self, name: str) -> None:
        with contextlib.closing(AccountBook(self.folder / "state", SessionsConfig())) as accounts:
            accounts.revoke_user(name)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        self._out.close()

    def _address(self) -> str:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            match = re.search(r"page on (\S+)", (self.folder / "out").read_text())
            if match is not None:
                return match[1]
            assert self.process.poll() is None, (self.folder / "out").read_text()
            time.sleep(0.05)
        raise AssertionError("the page did not start")


class Look:
    """One browser window on a page, and what went wrong in it."""

    def __init__(self, browser: Any, page: RunningPage, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.url = page.url
        self.wrong: list[str] = []
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", self._ask)

    def _ask(self, request: Any) -> None:
        if not request.url.startswith((self.url, "blob:", "data:")):
            self.wrong.append(f"foreign request: {request.url}")

    def log_in(self, name: str = "ann") -> None:
        self.page.goto(f"{self.url}/login")
        self.page.fill("input[name=name]", name)
        self.page.fill("input[name=password]", PASSWORD)
        self.page.click("button.act")
        self.page.locator("nav").wait_for()

    def open(self, path: str) -> Any:
        self.page.goto(f"{self.url}{path}")
        self.page.locator("main").wait_for()
        return self.page

    def close(self) -> None:
        self.context.close()


@contextlib.contextmanager
def running_browser() -> Iterator[Any]:
    path = chromium()
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=options)
        try:
            yield browser
        finally:
            browser.close()
