"""Takes the pictures of the page that README and docs show: Live and Tuning of a line on synthetic parts, in Chromium.

    python scripts/page_pictures.py          # writes docs/page-live.jpg and docs/page-tuning.jpg

Needs the extras web and dev-all (Playwright), and the system's Chromium.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge.config.web import SessionsConfig
from edge.web.doors.account_book import AccountBook
from edge.web.doors.guard import COOKIE
from edge.web.doors.roles import Role

DOCS = Path(__file__).parents[1] / "docs"
SIZE = {"width": 1280, "height": 920}
CAMERA = "line1"
BUNDLE = DOCS.parent / "configs" / "bundles" / "synthetic-part"
LINE = f"""\
camera: {CAMERA}
recipe_id: plate-40
runtime_dir: run
source: {{kind: synthetic, preset: easy, seed: 1, defect_rate: 0.25, fps: 5}}
model: {{bundle: {BUNDLE}}}
regions:
  smooth: {{kind: median, size: 3}}
  threshold: {{high: 6.0, low: 4.0}}   # by hand
  min_area_px: 8
outputs:
  zmq: {{preview: "tcp://127.0.0.1:0"}}
  jsonl: {{dir: log}}
  evidence: {{dir: evidence, keep: [pass, fail, invalid], maps: true}}
"""
_EDGE = (sys.executable, "-m", "edge")
_ENOUGH_RECORDS = 20_000
"""Time in ms until the strip shows parts that pass and parts that fail."""


def main() -> None:
    """Run the line, look at it, write the pictures."""
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as folder,
        served_line(Path(folder)) as (address, secret),
        sync_playwright() as driver,
    ):
        path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=path, args=options)
        context = browser.new_context(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
        context.add_cookies([{"name": COOKIE, "value": secret, "url": address}])
        page = context.new_page()
        live(page, address)
        tuning(page, address)
        browser.close()


@contextlib.contextmanager
def served_line(folder: Path, config: str = LINE) -> Iterator[tuple[str, str]]:
    """Run the line and the page; yield the page's address and the secret of a session of somebody who sees this line."""
    (folder / "line1.yaml").write_text(config)
    (folder / "web.yaml").write_text("bind: 127.0.0.1:0\ndir: page\nlines: [run]\n")
    with contextlib.closing(AccountBook(folder / "page", SessionsConfig())) as book:
        password = secrets.token_urlsafe(16)
        book.add_user("ann", Role.ENGINEER, password, [CAMERA])
        secret = str(book.log_in("ann", password, "pictures"))
    line = subprocess.Popen([*_EDGE, "run", "-c", str(folder / "line1.yaml")], stderr=subprocess.DEVNULL)
    page = subprocess.Popen([*_EDGE, "web", "-c", str(folder / "web.yaml")], stderr=subprocess.PIPE, text=True)
    try:
        assert page.stderr is not None
        yield next(found[1] for text in page.stderr if (found := re.search(r"page on (http://[\d.:]+)", text))), secret
    finally:
        for process in (page, line):
            process.terminate()
            process.communicate()


def live(page: Any, address: str) -> None:
    """Show a part that failed, frozen, once the strip has some of both."""
    page.goto(f"{address}/cam/{CAMERA}")
    page.locator("#failpicture canvas:not([hidden])").wait_for(timeout=60_000)
    page.wait_for_timeout(_ENOUGH_RECORDS)
    page.locator("#verdict", has_text="fail").wait_for()
    page.keyboard.press("Space")
    page.wait_for_timeout(300)
    page.screenshot(path=str(DOCS / "page-live.jpg"), type="jpeg", quality=78)


def tuning(page: Any, address: str) -> None:
    """Open the line's evidence, and raise the threshold until verdicts change."""
    page.goto(f"{address}/cam/{CAMERA}/tune")
    settled = page.locator("#changed-count", has_text="verdicts changed")
    settled.wait_for(timeout=120_000)
    number = page.locator('[id="number-threshold.high"]')
    number.fill("20")
    number.press("Enter")
    page.wait_for_timeout(1000)
    settled.wait_for(timeout=120_000)
    page.locator("h1").click()
    page.keyboard.press("n")
    page.wait_for_timeout(1500)
    page.screenshot(path=str(DOCS / "page-tuning.jpg"), type="jpeg", quality=78)


if __name__ == "__main__":
    main()
