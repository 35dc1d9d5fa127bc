"""Fleet and Live in a real browser: pictures with their boxes, freezing and stepping, silence, an ended session."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest
from support.browsers import Look, RunningPage
from support.daemons import LIVE, daemon
from support.waits import until

from edge.web.doors.roles import Role


def test_a_tile_shows_picture_verdict_and_rate_of_each_line(look) -> None:
    page = look.open("/")
    for camera in ("cam1", "cam2"):
        tile = page.locator(f'[data-camera="{camera}"]')
        tile.locator("canvas:not([hidden])").wait_for()
        tile.locator('[data-field="verdict"]').get_by_text(re.compile("pass|fail")).wait_for()
        tile.locator('[data-field="state"]').get_by_text("ContinuousExecution").wait_for()
        tile.locator('[data-field="pictured"]').get_by_text(re.compile(r"picture: . (pass|fail), seq \d+")).wait_for()


def test_a_fail_has_its_box_and_stays_pinned(look) -> None:
    page = look.open("/cam/cam1")
    page.locator("#failpicture canvas:not([hidden])").wait_for()
    assert page.locator("#failpicture rect.box").get_attribute("width") == "40"
    assert "seq" in page.locator("#failtext").inner_text()


def test_what_live_says_and_its_picture_are_of_one_record(look) -> None:
    page = look.open("/cam/cam1")
    page.locator("#view .picture canvas:not([hidden])").wait_for()
    both = """() => [document.querySelector('#seq').textContent,
                     document.querySelector('#view .picture canvas').getAttribute('aria-label')]"""
    for _ in range(60):
        seq, label = page.evaluate(both)
        assert label.startswith(f"picture of record {seq}, ")
        page.wait_for_timeout(10)


def test_a_picture_that_can_not_be_decoded_is_said_and_has_no_caption(look) -> None:
    look.page.add_init_script("window.createImageBitmap = () => Promise.reject(new Error('damaged'))")
    page = look.open("/")
    tile = page.locator('[data-camera="cam1"]')
    tile.locator(".empty", has_text="this picture can't be shown").wait_for()
    assert tile.locator('[data-field="pictured"]').is_hidden()
    page = look.open("/cam/cam1")
    page.locator("#view .empty", has_text="this picture can't be shown").wait_for()
    page.locator("#seq").get_by_text(re.compile(r"\d+")).wait_for()
    assert look.wrong == []


def test_a_decoder_slower_than_the_pictures_shows_some_of_them(look) -> None:
    slow = """const decode = createImageBitmap;
              window.createImageBitmap = async (blob) => {
                const asked = await decode(blob);
                await new Promise((done) => setTimeout(done, 1000));
                return asked;
              };"""
    look.page.add_init_script(slow)
    page = look.open("/cam/cam1")
    shown = page.locator("#view .picture canvas:not([hidden])")
    shown.wait_for()
    first = shown.get_attribute("aria-label")
    page.locator(f'#view .picture canvas:not([aria-label="{first}"])').wait_for()
    assert look.wrong == []


def test_space_freezes_and_arrows_step(look) -> None:
    page = look.open("/cam/cam1")
    page.locator("#verdict").get_by_text("fail").wait_for()
    page.keyboard.press("Space")
    page.locator("#freeze[aria-pressed=true]").wait_for()
    before = int(page.locator("#seq").inner_text())
    page.keyboard.press("ArrowLeft")
    page.locator("#seq", has_text=re.compile(f"^{before - 1}$")).wait_for()
    page.keyboard.press("ArrowRight")
    page.locator("#seq", has_text=re.compile(f"^{before}$")).wait_for()
    page.keyboard.press("f")
    page.locator("#verdict").get_by_text("fail").wait_for()
    assert int(page.locator("#seq").inner_text()) % 5 == 4
    page.keyboard.press("End")
    page.locator("#freeze[aria-pressed=false]").wait_for()
    assert look.wrong == []


def test_a_revoked_session_says_so_and_shows_nothing_as_live(browser, web) -> None:
    web.add_user("bob", Role.VIEWER)
    window = Look(browser, web)
    window.log_in("bob")
    page = window.open("/cam/cam1")
    page.locator("#age").get_by_text("last heard").wait_for()
    web.revoke("bob")
    page.locator("#ended").get_by_text("Your session has ended").wait_for()
    page.locator("#age.red").wait_for()
    window.close()


@pytest.fixture
def line(tmp_path) -> Iterator[tuple[object, RunningPage]]:
    """A daemon in a process of its own, and a page of its own before it."""
    preview = f"outputs.zmq.preview=ipc://{tmp_path / 'preview'}"
    with daemon(tmp_path, preview, sets=[*LIVE[:2], LIVE[3], "outputs.zmq={}"]) as process:
        until(lambda: (tmp_path / "run" / "endpoints.json").exists())
        page = RunningPage(tmp_path / "web", [tmp_path / "run"], ["cam1"])
        yield process, page
        page.close()


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGSTOP, "silent|no heartbeat"), (signal.SIGKILL, "silent|not running")]
)
def test_a_line_that_stops_is_never_shown_as_live(browser, line, number, words) -> None:
    process, page = line
    window = Look(browser, page)
    window.log_in()
    shown = window.open("/cam/cam1")
    shown.locator("#age").get_by_text("last heard").wait_for()
    process.send_signal(number)
    shown.locator("#age.red").get_by_text(re.compile(words)).wait_for()
    shown.locator("body.isstale").wait_for()
    if number == signal.SIGSTOP:
        process.send_signal(signal.SIGCONT)
        shown.locator("#age").get_by_text("last heard").wait_for()
    window.close()


def test_hundreds_of_records_later_the_page_holds_no_more_and_has_one_connection(look) -> None:
    """The short form of ``scripts/soak_page.py``."""
    # counted in the page itself: the socket of the page before may be heard of late, and its end not at all
    counted = """window.opened = [];
                 const Plain = WebSocket;
                 window.WebSocket = class extends Plain {
                   constructor(...given) { super(...given); window.opened.push(this); }
                 };"""
    look.page.add_init_script(counted)
    page = look.open("/cam/cam1")
    page.locator("#seq", has_text=re.compile(r"\d")).wait_for()
    begun = int(page.locator("#seq").inner_text())
    cdp = page.context.new_cdp_session(page)
    held = []
    for records in (40, 160):
        until(lambda records=records: int(page.locator("#seq").inner_text()) >= begun + records)
        cdp.send("HeapProfiler.collectGarbage")
        held.append(cdp.send("Memory.getDOMCounters"))
    assert held[1]["nodes"] <= held[0]["nodes"] + 100
    assert held[1]["jsEventListeners"] <= held[0]["jsEventListeners"] + 5
    # a page that heard nothing for seconds, as on a busy machine, connects anew; the one before is closed then
    page.wait_for_function("opened.filter((socket) => socket.readyState < WebSocket.CLOSING).length === 1")
    assert look.wrong == []
