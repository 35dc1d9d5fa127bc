"""Shift in a real browser: the cause and its answers, courses beyond their band first, points that a lasso selects."""

from __future__ import annotations

import re

from support.records import DRIFT
from support.waits import until


def test_the_cause_stands_first_and_what_left_its_band_before_all_else(look) -> None:
    page = look.open("/cam/cam1/shift")
    page.locator("#cause.warn").get_by_text(DRIFT["words"]).wait_for()
    page.locator("#commands code").get_by_text("edge shift lab=").wait_for()
    page.locator(".course canvas").first.wait_for()
    first = page.locator(".course").first
    first.get_by_text("edges x").wait_for()
    assert "beyond its band" in first.get_attribute("aria-label")
    assert (page.locator(".course").count(), page.locator(".course.beyond").count()) == (19, 1)
    assert look.wrong == []


def test_a_line_that_does_not_measure_says_how_it_would(look) -> None:
    page = look.open("/cam/cam2/shift")
    page.locator("#cause").get_by_text("doesn't measure").wait_for()
    page.locator("#commands code").get_by_text("edge calibrate cam2-usual -c cam2.yaml --drift").wait_for()
    page.locator("#noreports").get_by_text("No report of this camera's frames").wait_for()


def test_a_lasso_selects_frames_and_gives_them_to_edge_label(look) -> None:
    page = look.open("/cam/cam1/shift")
    page.locator("#values button").nth(1).wait_for()
    page.locator("#scatter").scroll_into_view_if_needed()
    box = page.locator("#scatter").bounding_box()
    corners = [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()
    page.locator("#selected").get_by_text("80 frames selected").wait_for()
    assert page.locator("#files li").count() == 80
    assert len(re.findall("--frames frames/", page.locator("#labelcommands code").last.inner_text())) == 40
    page.keyboard.press("Escape")
    page.locator("#selection").wait_for(state="hidden")
    assert look.wrong == []


def test_groups_are_selected_by_keys_in_every_drawing_and_a_point_shows_its_picture(look) -> None:
    page = look.open("/cam/cam1/shift")
    page.locator("#values button").nth(1).wait_for()
    page.locator("#view").select_option(label="t-SNE")
    page.locator("#colour").select_option(label="verdict")
    fails = page.locator("#values button", has_text="fail")
    fails.focus()
    page.keyboard.press("Enter")
    page.locator("#selected").get_by_text("20 frames selected").wait_for()
    box = page.locator("#scatter").bounding_box()
    for step in range(40):  # along the second cloud, until a point is under the pointer
        page.mouse.move(box["x"] + (0.5 + step / 100) * box["width"], box["y"] + 0.25 * box["height"])
        if page.locator("#hover img").count():
            break
    page.locator("#hover img").wait_for()
    assert page.locator("#hover img").evaluate("img => img.decode().then(() => img.naturalWidth)") == 16
    assert look.wrong == []


def test_keys_wheel_and_buttons_look_closer_and_a_lasso_then_takes_what_is_in_sight(look) -> None:
    page = look.open("/cam/cam1/shift")
    page.locator("#values button").nth(1).wait_for()
    scatter = page.locator("#scatter")
    scatter.focus()
    for key, zoom in (("+", "1.50"), ("-", "1.00"), ("+", "1.50")):
        page.keyboard.press(key)
        page.locator(f"#scatter[data-zoom='{zoom}']").wait_for()
    scatter.hover(position={"x": 5, "y": 5})
    page.mouse.wheel(0, -400)
    page.locator("#scatter[data-zoom='4.08']").wait_for()
    box = scatter.bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    page.mouse.down()
    for across, down in ((0.99, 0.01), (0.99, 0.99), (0.01, 0.99)):
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"], steps=2)
    page.mouse.up()
    selected = page.locator("#selected").text_content() or "0"
    assert int(selected.split()[0]) < 60
    page.locator("#whole").click()
    page.locator("#scatter[data-zoom='1.00']").wait_for()
    assert look.wrong == []


def test_a_chart_says_what_the_block_under_the_pointer_had(look) -> None:
    page = look.open("/cam/cam1/shift")
    course = page.locator(".course", has_text="edges x")
    course.locator("canvas").wait_for()
    newest = course.locator(".now").inner_text()
    course.locator(".u-over").hover(position={"x": 2, "y": 20})
    until(lambda: re.match(r"\d\d-\d\d \d\d:\d\d: ", course.locator(".now").inner_text()) is not None)
    assert "usual" in (course.locator(".plot").get_attribute("title") or "")
    page.mouse.move(0, 0)
    until(lambda: course.locator(".now").inner_text() == newest)
    assert look.wrong == []
