"""The Tuning page in a real browser: every control changes the overlay, shapes are drawn by mouse and keys, and undone."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browsers import Look, RunningPage, chromium, running_browser
from support.tuned import evidence, replayed
from support.waits import until

from edge.web.tuning.controls import controls

pytestmark = [pytest.mark.timeout(300), pytest.mark.browser]
FAIL = 2
"""A frame with defects, by the source's seed."""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chromium()
    return evidence(tmp_path_factory.mktemp("line"), frames=16)


@pytest.fixture(scope="module")
def page(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[str]]]:
    folder = tmp_path_factory.mktemp("page")
    running = RunningPage(folder, [folder_of_a_line(folder / "cam1", line)])
    with contextlib.closing(running), running_browser() as browser:
        look = Look(browser, running, viewport={"width": 1280, "height": 800})
        look.log_in()
        settled(look.open(f"/cam/cam1/tune?frame={FAIL}"))
        yield look.page, look.wrong


def folder_of_a_line(folder: Path, config: Path) -> Path:
    """A runtime folder as the daemon of this config leaves one."""
    folder.mkdir()
    (folder / "instance.json").write_text(json.dumps({"camera": "cam1", "config": str(config), "overrides": []}))
    (folder / "endpoints.json").write_text("{}")
    return folder


@pytest.fixture(autouse=True)
def as_opened(page: tuple[Any, list[str]]) -> Iterator[None]:
    """Every test begins with the line's own config and one frame in view, and ends without an error."""
    tab, wrong = page
    for _ in range(60):
        if not tab.locator(".control.changed").count():
            break
        after(tab, tab.locator("#undo").click)
    strip = tab.locator("#strip")
    strip.press("Home")
    for _ in range(FAIL - 1):
        strip.press("ArrowRight")
    tab.locator(f'#strip[aria-valuenow="{FAIL}"]').wait_for()
    yield
    assert [text for text in wrong if "willReadFrequently" not in text] == []  # a hint to ``overlay``, which reads back


def settled(tab: Any) -> None:
    """Wait until every frame is judged under what was changed last, and the page shows it."""
    tab.locator("html[data-judged=yes]").wait_for(state="attached")
    tab.locator("#changed-count", has_text="verdicts changed").wait_for()


def after(tab: Any, act: Any) -> None:
    """Act, and wait for the overlay that follows."""
    act()
    tab.locator("html[data-settled=yes]").wait_for(state="attached")


def at_rest(tab: Any, grip: Any) -> dict[str, float]:
    """Where it lies, when nothing has moved for longer than the charts wait after a change (250 ms)."""
    before: dict[str, float] = {}
    while (now := grip.bounding_box()) != before:
        before = now
        tab.wait_for_timeout(400)
    return before


def to_the_first_changed_frame(tab: Any) -> None:
    """From the first frame of all, which the tests don't change, by key."""
    tab.locator("#strip").press("Home")
    tab.keyboard.press("n")
    tab.locator('#strip:not([aria-valuenow="1"])').wait_for()


def overlay(tab: Any) -> str:
    """What is drawn: counts, the layers' pixels, the boxes."""
    return str(
        tab.evaluate(
            """() => { const c = document.querySelector('#stage canvas.crisp');
            const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let h = 0;
            for (let i = 0; i < d.length; i += 1) h = (h * 31 + d[i]) | 0;
            const boxes = [...document.querySelectorAll('#stage .box')].map((b) => b.getAttribute('d')).join('');
            return document.documentElement.dataset.overlay + h + boxes; }"""
        )
    )


AT = {
    "border_px": 100,
    "smooth.size": 5,
    "threshold.high": 60,
    "threshold.low": 5.9,
    "open_px": 9,
    "close_px": 15,
    "min_area_px": 3000,
    "max_area_px": 12,
    "min_score_max": 60.0,
    "min_score_mean": 40.0,
    "min_fill_ratio": 1.0,
    "max_aspect_ratio": 1.0,
    "min_solidity": 1.0,
    "dilate_px": 15,
    "merge_gap_px": 100,
    "max_regions": 1,
}
"""Where each slider is moved to, a value that this frame shows."""
SLIDERS = [one["key"] for one in controls() if one["kind"] in ("number", "integer") and one["key"] != "smooth.sigma"]


@pytest.mark.parametrize("key", SLIDERS)
def test_every_slider_changes_the_overlay(page: tuple[Any, list[str]], key: str) -> None:
    tab, _ = page
    if key in ("max_regions", "merge_gap_px", "close_px"):  # they need several regions in the frame
        after(tab, lambda: number(tab, "threshold.low", 2.5))
        after(tab, lambda: number(tab, "threshold.high", 3.0))
        after(tab, lambda: number(tab, "min_area_px", 1))
    before = overlay(tab)
    switch = tab.locator(f'[data-key="{key}"] input[type=checkbox]')
    if switch.count() and switch.is_visible() and not switch.is_checked():
        after(tab, switch.check)
    after(tab, lambda: number(tab, key, AT[key]))
    until(lambda: overlay(tab) != before)  # the first answer may be to what was asked before


def number(tab: Any, key: str, value: float) -> None:
    field = tab.locator(f'[id="number-{key}"]')
    field.fill(str(value))
    field.press("Enter")


def test_a_slider_moves_by_keys_and_a_gaussians_sigma_shows_with_its_kind(page: tuple[Any, list[str]]) -> None:
    tab, _ = page
    slider = tab.locator('[id="slider-border_px"]')
    slider.focus()
    after(tab, lambda: tab.keyboard.press("ArrowRight"))
    assert tab.locator('[id="number-border_px"]').input_value() == "1"
    after(tab, lambda: tab.locator('[id="choice-smooth.kind"]').select_option("gaussian"))
    before = overlay(tab)
    after(tab, tab.locator('[data-key="smooth.sigma"] input[type=checkbox]').check)
    after(tab, lambda: number(tab, "smooth.sigma", 6))
    assert overlay(tab) != before


def test_an_opening_of_even_width_is_made_odd_and_what_edge_check_refuses_stands_beside_its_control(
    page: tuple[Any, list[str]],
) -> None:
    tab, _ = page
    after(tab, lambda: number(tab, "open_px", 4))
    assert tab.locator('[id="number-open_px"]').input_value() in ("4", "5")
    after(tab, lambda: number(tab, "min_area_px", 65537))
    problem = tab.locator('[id="problem-min_area_px"]')
    problem.wait_for()
    assert "no region can be so large" in problem.inner_text()


def middle(tab: Any) -> tuple[float, float, float, float]:
    box = tab.locator("#stage").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"], box["height"]


def test_a_polygon_is_drawn_and_dragged_by_the_mouse_and_undone(page: tuple[Any, list[str]]) -> None:
    tab, _ = page
    tab.locator("#fit").click()
    x, y, _, height = middle(tab)
    tab.locator("#draw-include").click()
    reach = height * 0.3
    for dx, dy in ((-reach, -reach), (reach, -reach), (reach, reach), (-reach, reach)):
        tab.mouse.click(x + dx, y + dy)
    after(tab, lambda: tab.keyboard.press("Enter"))
    assert tab.locator("#stage polygon.include").count() == 1
    assert tab.locator("#stage circle.corner").count() == 4
    drawn = tab.locator("#stage polygon.include").get_attribute("points")
    tab.mouse.move(x - reach, y - reach)
    tab.mouse.down()
    tab.mouse.move(x - reach / 2, y - reach / 2, steps=4)
    after(tab, lambda: tab.mouse.move(x - reach / 3, y - reach / 3))
    tab.mouse.up()
    dragged = tab.locator("#stage polygon.include").get_attribute("points")
    assert dragged != drawn
    tab.mouse.dblclick(x, y - reach)  # on its upper edge
    assert tab.locator("#stage circle.corner").count() in (4, 5)
    tab.keyboard.press("Control+z")
    for _ in range(6):
        if not tab.locator("#stage polygon.include").count():
            break
        tab.keyboard.press("Control+z")
    assert tab.locator("#stage polygon.include").count() == 0
    tab.keyboard.press("Control+y")
    assert tab.locator("#stage polygon.include").count() == 1


@pytest.mark.parametrize("kind", ["include", "exclude", "zone"])
def test_a_shape_is_drawn_moved_and_deleted_by_keys_alone(page: tuple[Any, list[str]], kind: str) -> None:
    tab, _ = page
    tab.locator(f"#draw-{kind}").focus()
    tab.keyboard.press("Enter")
    for keys in (["ArrowLeft"] * 8, ["ArrowUp"] * 8, ["ArrowRight"] * 8):
        for key in keys:
            tab.keyboard.press(f"Shift+{key}")
        tab.keyboard.press(" ")
    after(tab, lambda: tab.keyboard.press("Enter"))
    shape = tab.locator(f"#stage polygon.{kind}")
    assert shape.count() == 1
    points = shape.get_attribute("points")
    tab.keyboard.press("Tab")
    after(tab, lambda: tab.keyboard.press("Shift+ArrowDown"))
    moved = shape.get_attribute("points")
    assert [a == b for a, b in zip(points.split(), moved.split(), strict=True)] == [False, True, True]
    tab.keyboard.press("Escape")
    tab.keyboard.press("]")
    after(tab, lambda: tab.keyboard.press("Delete"))
    assert shape.count() == 0


def test_the_changed_frames_are_gone_to_by_keys_the_old_config_is_shown_while_a_key_is_held_and_the_export_replays(
    page: tuple[Any, list[str]], line: Path, tmp_path: Path
) -> None:
    tab, _ = page
    after(tab, lambda: number(tab, "threshold.high", 20))
    settled(tab)
    assert not tab.locator("#changed-count").inner_text().startswith("0 of")
    to_the_first_changed_frame(tab)
    tab.locator("#where", has_text="fail → pass").wait_for()
    here = tab.locator("html").get_attribute("data-overlay")
    tab.keyboard.down("o")
    tab.locator("html[data-held=old]").wait_for(state="attached")
    tab.locator(f"html:not([data-overlay='{here}'])").wait_for(state="attached")
    tab.keyboard.up("o")
    tab.locator("#export-set").wait_for()
    tab.locator("#export-diff", has_text="+  threshold: {high: 20").wait_for()
    words = shlex.split(tab.locator("#export-set").inner_text())
    told = replayed(line, line.parent / "evidence", tmp_path / "out", *words[1::2])
    cells = {pair: int(tab.locator(f'td[data-pair="{pair}"]').inner_text()) for pair in ("pp", "pf", "fp", "ff")}
    assert cells["pf"] + cells["ff"] == sum(verdict == "fail" for verdict in told.values())
    assert cells["pp"] + cells["fp"] == sum(verdict == "pass" for verdict in told.values())


def test_the_thresholds_in_the_histogram_are_dragged(page: tuple[Any, list[str]]) -> None:
    tab, _ = page
    grip = tab.locator('[data-limit="high"]')
    grip.focus()
    before = tab.locator('[id="number-threshold.high"]').input_value()
    after(tab, lambda: tab.keyboard.press("ArrowRight"))
    assert float(tab.locator('[id="number-threshold.high"]').input_value()) > float(before)
    wanted = float(tab.locator('[id="number-threshold.high"]').input_value())
    until(lambda: abs(float(tab.locator('[data-limit="high"]').get_attribute("aria-valuenow")) - wanted) < 0.01)
    settled(tab)  # until then each report draws the chart anew
    grip = tab.locator('[data-limit="high"]')
    grip.evaluate("grip => grip.scrollIntoView({block: 'center'})")
    box = at_rest(tab, grip)
    tab.mouse.move(box["x"] + 4, box["y"] + 4)
    tab.mouse.down()
    after(tab, lambda: tab.mouse.move(box["x"] + 90, box["y"] + 4, steps=3))
    tab.mouse.up()
    assert float(tab.locator('[id="number-threshold.high"]').input_value()) > 10


def test_the_pages_address_brings_recording_frame_and_change_back(page: tuple[Any, list[str]]) -> None:
    tab, _ = page
    after(tab, lambda: number(tab, "threshold.high", 20))
    settled(tab)
    to_the_first_changed_frame(tab)
    frame = tab.locator("#strip").get_attribute("aria-valuenow")
    tab.locator(f"#preset[href*='high%22%3A20%2C'][href*='frame={frame}&']").wait_for()
    link = tab.locator("#preset").get_attribute("href")
    changed = tab.locator("#where", has_text="fail → pass")
    changed.wait_for()
    here = changed.inner_text()
    home = tab.url.partition("/cam/")[0]
    tab.goto("about:blank")
    tab.goto(f"{home}{link}")
    settled(tab)
    tab.locator(".control.changed").first.wait_for()
    assert tab.locator('[id="number-threshold.high"]').input_value() == "20"
    changed.wait_for()
    assert changed.inner_text() == here


def test_a_recording_that_is_open_fits_a_phone_and_axe_finds_nothing_serious(page: tuple[Any, list[str]]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    tab, _ = page
    cookies, url = tab.context.cookies(), f"{tab.url.partition('/cam/')[0]}/cam/cam1/tune?frame={FAIL}"
    found = {}
    for scheme, width in (("light", 390), ("dark", 1280)):
        context = tab.context.browser.new_context(
            bypass_csp=True, color_scheme=scheme, viewport={"width": width, "height": 844}, reduced_motion="reduce"
        )
        context.add_cookies(cookies)
        small = context.new_page()
        small.goto(url)
        settled(small)
        assert small.evaluate("document.documentElement.scrollWidth") <= width
        violations = axe.Axe().run(small).response["violations"]
        found[scheme] = [
            f"{rule['id']}: {node['html'][:150]}"
            for rule in violations
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"][:3]
        ]
        context.close()
    assert found == {"light": [], "dark": []}


def test_a_session_that_has_ended_is_said_and_no_quota_is_blamed_for_its_pictures(page: tuple[Any, list[str]]) -> None:
    tab, wrong = page
    strip = tab.locator("#strip")
    strip.focus()
    with tab.expect_response(lambda answer: "/frame.jpg" in answer.url) as first:
        tab.keyboard.press("ArrowRight")
    session = first.value.url.partition("/frames/")[0]
    tab.evaluate("(url) => fetch(url, { method: 'DELETE' })", session)
    again = tab.locator("#status button", has_text="Open it again")
    again.wait_for()
    with tab.expect_response(lambda answer: "/frame.jpg" in answer.url) as gone:
        tab.keyboard.press("ArrowRight")
    assert gone.value.status == 404
    until(lambda: tab.wait_for_timeout(20) or sum("404" in text for text in wrong) == 2)  # so the browser says: frame, map
    wrong.clear()
    assert "gone" not in tab.locator("#said").inner_text()
    again.click()
    again.wait_for(state="detached")
    settled(tab)
