"""The Review page in a real browser: labels by keys, shapes by mouse and keys, undo, and nothing lost on the way."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browsers import SIZES, Look, RunningPage, chromium, running_browser
from support.graphs import write_identity_bundle
from support.reviewed import line_of, write_frames
from support.waits import until
from typer.testing import CliRunner

from edge.cli import app
from edge.cli._labelling import word_of
from edge.models.sets.frame_set import add_labels, read_set

pytestmark = [pytest.mark.timeout(300), pytest.mark.browser]


HOSTILE = "<img src=x onerror=alert(1)>"


class Shown:
    """The page in its browser, and the set that it writes."""

    def __init__(self, browser: Any, running: RunningPage, folder: Path) -> None:
        self.browser, self.running, self.folder = browser, running, folder
        self.look = Look(browser, running, viewport={"width": 1280, "height": 800})
        self.look.log_in()
        self.tab, self.wrong = self.look.page, self.look.wrong

    def open(self, query: str = "") -> Any:
        self.look.open(f"/cam/cam1/review{query}")
        self.tab.locator("#status", has_text="frame").wait_for()
        self.tab.locator(".cell .mark").first.wait_for(state="attached")
        return self.tab

    def kinds(self) -> dict[str, str]:
        """What the set says now: the kind of each labelled frame by its seq."""
        path = self.running.folder / "state" / "labels" / "cam1" / "set.jsonl"
        if not path.is_file():
            return {}
        return {one.tags["seq"]: one.kind for one in read_set(path).frames if one.kind != "unlabelled"}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    chromium()
    folder = tmp_path_factory.mktemp("review")
    line = line_of(folder / "line")
    write_identity_bundle(folder / "line" / "bundle")
    write_frames(folder / "line" / "evidence", range(1), reason=HOSTILE, instance_id=HOSTILE)
    write_frames(folder / "line" / "evidence", range(1, 30))
    runtime = folder / "cam1"
    runtime.mkdir()
    (runtime / "instance.json").write_text(json.dumps({"camera": "cam1", "config": str(line.config), "overrides": []}))
    (runtime / "endpoints.json").write_text("{}")
    running = RunningPage(folder / "page", [runtime])
    with contextlib.closing(running), running_browser() as browser:
        found = Shown(browser, running, folder)
        frames = f"{running.url}/api/v1/cameras/cam1/frames"
        until(lambda: (answer := found.tab.request.get(frames)).ok and len(answer.json()["ids"]) == 30)
        yield found


@pytest.fixture(autouse=True)
def nothing_wrong(shown: Shown) -> Iterator[None]:
    shown.wrong.clear()
    yield
    assert shown.wrong == []


def test_one_key_labels_and_moves_on_and_undo_goes_back(shown: Shown) -> None:
    tab = shown.open()
    tab.locator("#gallery").focus()
    for key in "gdu":
        tab.keyboard.press(key)
    tab.keyboard.press("n")
    tab.keyboard.type("crack")
    tab.keyboard.press("Enter")
    tab.locator('.keys [data-kind="crack"]').wait_for()
    tab.keyboard.press("1")
    until(lambda: shown.kinds() == {"29": "good", "28": "defect", "26": "crack", "25": "crack"})
    tab.locator("#where", has_text="6 of 30").wait_for()
    tab.keyboard.press("z")
    tab.locator("#where", has_text="5 of 30").wait_for()
    tab.keyboard.press("Control+z")
    until(lambda: shown.kinds() == {"29": "good", "28": "defect"})
    tab.locator("#counts", has_text="1 good, 1 defect, 1 unsure").wait_for()


def test_filters_show_what_fits_and_stay_in_the_address(shown: Shown) -> None:
    tab = shown.open("?verdict=fail")
    tab.locator("#status", has_text="6 frames fit.").wait_for()
    tab.locator("select[name=label]").select_option("none")
    tab.locator("#status", has_text="5 frames fit.").wait_for()
    assert "label=none" in tab.url
    tab.locator("select[name=label]").select_option("disputed")
    tab.locator("#status", has_text="No frame fits").wait_for()


def test_a_box_by_the_mouse_and_a_polygon_by_keys_become_the_mask(shown: Shown) -> None:
    tab = shown.open("?seq=19")
    box = tab.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.locator("#stage image[href]").wait_for()
    tab.locator(".keys button", has_text="box").click()
    tab.mouse.move(x - 40, y - 40)
    tab.mouse.down()
    tab.mouse.move(x + 30, y + 20, steps=3)
    tab.mouse.up()
    until(lambda: shown.kinds().get("19") == "defect")
    tab.keyboard.press("p")
    for keys in (["ArrowLeft"] * 2, ["ArrowUp"] * 2, ["ArrowRight"] * 3):
        for key in keys:
            tab.keyboard.press(key)
        tab.keyboard.press(" ")
    tab.keyboard.press("Enter")
    tab.locator("#stage polygon.shape").nth(1).wait_for()
    masks = shown.running.folder / "state" / "labels" / "cam1" / "masks"
    until(lambda: len(list(masks.glob("*.png"))) == 2)
    tab.keyboard.press("Delete")
    until(lambda: len(list(masks.glob("*.png"))) == 3)
    assert tab.locator("#stage polygon.shape").count() == 1
    tab.keyboard.press("z")
    tab.locator("#stage polygon.shape").nth(1).wait_for()
    tab.keyboard.press("z")
    tab.keyboard.press("z")
    tab.keyboard.press("z")
    until(lambda: "19" not in shown.kinds())


def test_a_box_without_width_or_with_one_corner_is_none_and_the_next_one_is_drawn(shown: Shown) -> None:
    tab = shown.open("?seq=20")
    box = tab.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.locator("#stage image[href]").wait_for()
    tab.locator(".keys button", has_text="box").click()
    for to in ((x + 30, y), (x, y + 30)):
        tab.mouse.move(x, y)
        tab.mouse.down()
        tab.mouse.move(*to, steps=3)
        tab.mouse.up()
        tab.locator("#drawing", has_text="A box needs a width and a height.").wait_for()
    tab.keyboard.press("Enter")
    tab.keyboard.press(" ")
    tab.keyboard.press("Enter")  # below two corners
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press(" ")
    assert tab.locator("#stage polygon:not(.chosen)").count() == 0
    for key in (" ", "ArrowRight", "ArrowDown", " "):
        tab.keyboard.press(key)
    until(lambda: shown.kinds().get("20") == "defect")
    assert tab.locator("#stage polygon.shape").count() == 1
    tab.keyboard.press("z")
    until(lambda: "20" not in shown.kinds())


def test_one_word_that_the_server_never_takes_lets_the_others_go_first_and_may_be_given_up(shown: Shown) -> None:
    tab = shown.open("?verdict=pass&label=none")
    tab.locator("#gallery").focus()
    before = shown.kinds()
    busy = '{"what": "no memory is left", "expected": null, "fix": null}'
    refuse = lambda route: route.fulfill(status=503, content_type="application/json", body=busy)  # noqa: E731
    tab.route("**/api/v1/labels/cam1/*", refuse)
    tab.keyboard.press("g")
    tab.locator("#unsent", has_text="no memory is left").wait_for()
    first = int(tab.evaluate("Object.values(localStorage).map((text) => JSON.parse(text).id)[0]"))
    tab.route(f"**/api/v1/labels/cam1/{first}", refuse)
    tab.unroute("**/api/v1/labels/cam1/*")
    tab.keyboard.press("d")
    until(lambda: len(shown.kinds()) == len(before) + 1)
    for _ in range(2):
        tab.locator("#unsent button", has_text="Send now").click()
    tab.locator("#unsent button", has_text="Give up 1").click()
    tab.locator("#unsent").wait_for(state="hidden")
    tab.unroute(f"**/api/v1/labels/cam1/{first}")
    tab.keyboard.press("z")
    until(lambda: shown.kinds() == before)
    shown.wrong[:] = [text for text in shown.wrong if "503" not in text]


def test_a_session_that_ends_in_mid_work_loses_no_label(shown: Shown) -> None:
    tab = shown.open("?seq=10")
    cookies = tab.context.cookies()
    tab.context.clear_cookies()
    tab.locator("#gallery").focus()
    tab.keyboard.press("g")
    tab.locator("#unsent", has_text="1 label is kept here and sent again: the session has ended").wait_for()
    tab.locator("#ended").wait_for()
    assert "10" not in shown.kinds()
    assert "good" in tab.locator("#said-label").inner_text()
    tab.context.add_cookies(cookies)
    tab.locator("#unsent button").click()
    until(lambda: shown.kinds().get("10") == "good")
    tab.locator("#unsent").wait_for(state="hidden")
    shown.wrong[:] = [text for text in shown.wrong if "401" not in text]


def test_a_server_that_can_not_write_is_said_and_a_reload_keeps_what_waits(shown: Shown) -> None:
    tab = shown.open("?seq=11")
    full = (
        '{"what": "labels can\'t be written: No space left on device", "expected": null, "fix": "make room on this disk"}'
    )
    refuse = lambda route: route.fulfill(status=503, content_type="application/json", body=full)  # noqa: E731
    tab.route("**/api/v1/labels/cam1/*", refuse)
    tab.locator("#gallery").focus()
    tab.keyboard.press("d")
    tab.locator(
        "#unsent", has_text="1 label is kept here and sent again: labels can't be written: No space left"
    ).wait_for()
    shown.open("?seq=11")
    tab.locator("#unsent", has_text="No space left").wait_for()
    tab.unroute("**/api/v1/labels/cam1/*")
    tab.locator("#unsent button").click()
    until(lambda: shown.kinds().get("11") == "defect")
    shown.wrong[:] = [text for text in shown.wrong if "503" not in text]


def test_a_line_that_is_not_known_for_a_while_costs_no_label_and_one_frame_that_is_gone_holds_up_no_other(
    shown: Shown,
) -> None:
    tab = shown.open("?verdict=pass&label=none")
    unknown = '{"what": "no camera \'cam1\' is known here", "expected": null, "fix": null}'
    refuse = lambda route: route.fulfill(status=404, content_type="application/json", body=unknown)  # noqa: E731
    tab.route("**/api/v1/labels/cam1/*", refuse)
    tab.locator("#gallery").focus()
    before = shown.kinds()
    tab.keyboard.press("g")
    tab.locator("#unsent", has_text="1 label is kept here and sent again: no camera 'cam1' is known here").wait_for()
    tab.unroute("**/api/v1/labels/cam1/*")
    first = int(tab.evaluate("Object.values(localStorage).map((text) => JSON.parse(text).id)[0]"))
    tab.route(f"**/api/v1/labels/cam1/{first}", refuse)
    tab.keyboard.press("d")
    until(lambda: len(shown.kinds()) == len(before) + 1)
    tab.locator("#unsent", has_text="1 label is kept here").wait_for()
    tab.locator("#unsent button", has_text="Give up 1").click()
    tab.locator("#unsent").wait_for(state="hidden")
    tab.unroute(f"**/api/v1/labels/cam1/{first}")
    tab.keyboard.press("x")
    tab.keyboard.press("z")
    tab.keyboard.press("z")
    until(lambda: shown.kinds() == before)
    shown.wrong[:] = [text for text in shown.wrong if "404" not in text]


def test_two_tabs_keep_their_words_apart_and_the_newest_on_a_frame_is_sent(shown: Shown) -> None:
    one = shown.open("?seq=12")
    two = one.context.new_page()
    full = '{"what": "labels can\'t be written: No space left on device", "expected": null, "fix": null}'
    refuse = lambda route: route.fulfill(status=503, content_type="application/json", body=full)  # noqa: E731
    one.context.route("**/api/v1/labels/cam1/*", refuse)
    for tab, path, key in ((one, "12", "g"), (two, "13", "d"), (two, "12", "u")):
        if tab is two:
            tab.goto(f"{shown.running.url}/cam/cam1/review?seq={path}")
            tab.locator("#where", has_text="1 of 1").wait_for()
        tab.locator("#gallery").focus()
        tab.keyboard.press(key)
        tab.locator("#unsent", has_text="kept here and sent again").wait_for()
    two.close()
    assert len(one.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('edge.review.word/cam1/'))")) == 2
    one.context.unroute("**/api/v1/labels/cam1/*")
    # the page may send them by itself first, and then there is no button any more
    one.evaluate("[...document.querySelectorAll('#unsent button')].find((b) => b.textContent === 'Send now')?.click()")
    path = shown.running.folder / "state" / "labels" / "cam1" / "set.jsonl"

    def written() -> dict[str, list[str]]:
        frames = read_set(path).frames if path.exists() else ()
        return {frame.tags["seq"]: [vote.label for vote in frame.votes] for frame in frames}

    until(lambda: (written().get("12"), written().get("13")) == (["unsure"], ["defect"]))
    one.locator("#unsent").wait_for(state="hidden")
    shown.wrong[:] = [text for text in shown.wrong if "503" not in text]


def test_a_deciding_word_that_is_undone_or_taken_back_shows_the_disagreement_again(shown: Shown) -> None:
    tab = shown.open("?seq=14")
    tab.locator("#gallery").focus()
    tab.keyboard.press("g")
    until(lambda: shown.kinds().get("14") == "good")
    path = shown.running.folder / "state" / "labels" / "cam1" / "set.jsonl"
    found = read_set(path)
    (file,) = [frame.file for frame in found.frames if frame.tags["seq"] == "14"]
    add_labels(found, [word_of(file, "defect", "bob")])
    shown.open("?label=disputed&seq=14")
    tab.locator("#gallery").focus()
    voices = lambda: {vote.by: vote.label for one in read_set(path).frames if one.file == file for vote in one.votes}  # noqa: E731
    for back, left in (("z", {"ann": "good", "bob": "defect"}), ("x", {"bob": "defect"})):
        tab.keyboard.press("d")
        until(lambda: voices() == {"ann": "defect"})
        tab.keyboard.press(back)
        until(lambda left=left: voices() == left)
        tab.locator(
            "#facts", has_text=", ".join(f"{by}: {label}" for by, label in sorted(left.items(), reverse=True))
        ).wait_for()


def test_hostile_texts_of_records_and_links_are_only_shown(shown: Shown) -> None:
    tab = shown.open(f"?seq=0&reason={HOSTILE.replace(' ', '%20')}")
    tab.locator("#where", has_text=HOSTILE).wait_for()
    assert tab.locator("select[name=reason]").input_value() == HOSTILE
    tab.locator("#gallery").focus()
    tab.keyboard.press("n")
    tab.keyboard.type(HOSTILE)
    tab.keyboard.press("Enter")
    tab.locator("#unsent", has_text="1 refused: kinds.0; expected: up to 48 letters").wait_for()
    tab.locator("#said-label", has_text="no label").wait_for()
    assert tab.locator(".keys [data-kind]", has_text=HOSTILE).count() == tab.locator("img[src=x]").count() == 0
    assert "0" not in shown.kinds()
    tab.locator("#unsent button").click()
    shown.wrong[:] = [text for text in shown.wrong if "400" not in text]


def test_what_is_labelled_is_exported_and_edge_calibrate_takes_it(shown: Shown, tmp_path: Path) -> None:
    tab = shown.open("?verdict=pass&label=none")
    tab.locator("#gallery").focus()
    for _ in range(16):
        tab.keyboard.press("g")
    until(lambda: list(shown.kinds().values()).count("good") >= 16)
    tab.locator("#exporting summary").click()
    tab.locator("#export").click()
    done = tab.locator(".export[data-state=done]")
    done.locator("pre").wait_for()
    root = shown.running.folder / "state" / "exports" / str(done.get_attribute("data-name"))
    assert f"edge calibrate {root}" in done.locator("pre").inner_text()
    out = tmp_path / "cam1.calibration.yaml"
    config = str(shown.folder / "line" / "cam1.yaml")
    result = CliRunner().invoke(app, ["calibrate", str(root), "-c", config, "-o", str(out), "--keep-outliers"])
    assert result.exit_code == 0, result.output
    assert "high" in out.read_text()


@pytest.mark.parametrize("size", SIZES)
def test_the_page_fits_every_screen_and_axe_finds_nothing_serious(shown: Shown, size: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    width, height = SIZES[size]
    scheme = "dark" if size == "wall" else "light"
    other = Look(
        shown.browser, shown.running, viewport={"width": width, "height": height}, bypass_csp=True, color_scheme=scheme
    )
    other.log_in()
    tab = other.open("/cam/cam1/review")
    tab.locator(".cell .mark").first.wait_for(state="attached")
    wide = tab.evaluate("document.documentElement.scrollWidth")
    violations = axe.Axe().run(tab).response["violations"]
    other.close()
    assert wide <= width
    assert [rule["id"] for rule in violations if rule["impact"] in ("serious", "critical")] == []
    assert other.wrong == []
