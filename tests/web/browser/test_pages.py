"""Every page in a real browser: no errors, nothing from elsewhere, nothing serious for axe, three sizes; hostile texts."""

from __future__ import annotations

import pytest
from support.browsers import SIZES, Look

from tests.web.browser.conftest import HOSTILE

PAGES = (
    "/",
    "/cam/cam1",
    "/cam/cam2",
    "/log",
    "/admin",
    "/cam/cam1/tune",
    "/cam/cam1/shift",
    "/cam/cam2/shift",
    "/cam/cam1/review",
)


@pytest.mark.parametrize("size", SIZES)
def test_every_page_opens_without_errors_and_without_asking_anybody_else(look, size) -> None:
    width, height = SIZES[size]
    look.page.set_viewport_size({"width": width, "height": height})
    for path in PAGES:
        page = look.open(path)
        page.wait_for_timeout(300)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} px wide at {width}"
        assert look.wrong == [], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, web, scheme) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    window = Look(browser, web, bypass_csp=True, color_scheme=scheme, reduced_motion="reduce")
    window.page.goto(f"{web.url}/login")
    found = {"/login": serious(axe, window.page)}
    window.log_in()
    for path in PAGES:
        page = window.open(path)
        page.wait_for_timeout(500)
        found[path] = serious(axe, page)
    window.close()
    assert {path: rules for path, rules in found.items() if rules} == {}


def serious(axe, page) -> list[str]:
    violations = axe.Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in violations
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"][:3]
    ]


def test_hostile_texts_are_only_shown(look) -> None:
    page = look.open("/")
    page.locator('[data-camera="cam2"] [data-field="trouble"]').get_by_text(HOSTILE).wait_for()
    page = look.open("/cam/cam2")
    page.locator("#faults").get_by_text(HOSTILE).wait_for()
    page.locator("#recipe").get_by_text(HOSTILE).wait_for()
    look.open("/log?reason=" + HOSTILE.replace(" ", "%20"))
    assert look.wrong == []
    assert page.locator("img[src=x]").count() == 0


def test_a_browser_without_websocket_is_told(browser, web) -> None:
    window = Look(browser, web)
    window.context.add_init_script("delete window.WebSocket")
    window.log_in()
    window.open("/cam/cam1").locator("#age").get_by_text("no WebSocket").wait_for()
    window.close()
