"""The pages in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("jinja2", reason="the extra 'serve' is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)
from tests.serving import Server, Serving

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 120_000  # against hanging alone
PHONE: ViewportSize = {"width": 390, "height": 844}

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that nobody has used; at the end no page of it has complained."""
    complaints: list[str] = []
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    context.on("console", lambda each: complaints.append(each.text) if each.type in BAD else None)
    context.on("weberror", lambda each: complaints.append(str(each.error)))
    yield context
    context.close()
    assert not [each for each in complaints if not re.search("net::ERR|Failed to fetch", each)]


BAD = ("error", "warning")


def link(serving: Serving) -> str:
    """Return a link that logs in once."""
    return serving.cli("ui", "--no-open").stdout.strip()


def logged_in(context: BrowserContext, serving: Serving) -> Page:
    page = context.new_page()
    page.goto(link(serving))
    expect(page).to_have_url(re.compile("/ui/runs$"))
    return page


def test_a_link_logs_in_once(
    context: BrowserContext, browser: Browser, module_server: Server, module_serving: Serving
) -> None:
    once = link(module_serving)
    page = context.new_page()
    page.goto(once)
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    other = browser.new_context()
    again = other.new_page()
    again.goto(once)
    expect(again.get_by_role("alert")).to_contain_text("used up")
    other.close()


def test_a_run_that_another_starts_appears_and_is_seen_to_its_end(
    context: BrowserContext, module_server: Server, module_serving: Serving
) -> None:
    page = logged_in(context, module_serving)
    expect(page.locator(".live")).to_have_text("live")
    run = module_server.start("waits")["run_id"]
    row = page.locator(f"#r-{run}")
    expect(row.locator(".pill")).to_have_text("waiting")
    row.get_by_role("link").click()
    expect(page.locator(".pill.big")).to_have_text("waiting")
    expect(page.locator(".live")).to_have_text("live")
    module_server.post(f"/v1/runs/{run}/events", {"name": "go", "data": {}})
    expect(page.locator(".pill.big")).to_have_text("succeeded")


def test_an_action_shows_its_command_is_confirmed_and_says_what_it_did(
    context: BrowserContext, module_server: Server, module_serving: Serving
) -> None:
    run = module_server.start("waits", wait="1s")["run_id"]
    page = logged_in(context, module_serving)
    page.goto(f"{module_server.url}/ui/runs/{run}")
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Reason").fill("it's double")
    expect(dialog.locator(".cmd")).to_contain_text(f"runs cancel {run} --reason 'it")
    dialog.get_by_role("button", name="Cancel run").click()
    expect(page.locator("#notices")).to_contain_text("The run was cancelled.")
    assert module_server.run(run)["status"] == "cancelled"


def test_a_search_while_typing_keeps_the_focus_and_stays_live(
    context: BrowserContext, module_server: Server, module_serving: Serving
) -> None:
    page = logged_in(context, module_serving)
    expect(page.locator(".live")).to_have_text("live")
    field = page.get_by_role("searchbox")
    field.press_sequentially("zebra")
    expect(page).to_have_url(re.compile(r"q=zebra"))
    expect(page.locator("#list")).to_contain_text("No such runs")
    expect(field).to_be_focused()
    module_server.start("quick", wait="10s", word="giraffe")
    found = module_server.start("quick", wait="10s", word="zebra")["run_id"]
    expect(page.locator(f"#r-{found}")).to_be_visible()
    expect(page.locator("#list tbody tr")).to_have_count(1)
    expect(field).to_have_value("zebra")


def test_many_tabs_do_not_hang_each_other(
    context: BrowserContext, module_server: Server, module_serving: Serving
) -> None:
    tabs = [logged_in(context, module_serving)]
    for _ in range(7):
        tab = context.new_page()
        tab.goto(f"{module_server.url}/ui/runs")
        expect(tab.locator(".live")).to_have_text("live")
        tabs.append(tab)
    run = module_server.start("quick", wait="10s", word="all")["run_id"]
    for tab in tabs:
        expect(tab.locator(f"#r-{run}")).to_be_visible()


def test_what_is_open_stays_open_while_the_page_changes(
    context: BrowserContext, module_server: Server, module_serving: Serving
) -> None:
    run = module_server.start("waits", wait="1s")["run_id"]
    page = logged_in(context, module_serving)
    page.goto(f"{module_server.url}/ui/runs/{run}?tab=history")
    expect(page.locator(".live")).to_have_text("live")
    page.get_by_role("button", name="Cancel").click()
    page.locator("#f-cancel").fill("half a sent")
    module_server.post(f"/v1/runs/{run}/pause", {})
    expect(page.locator(".pill.big")).to_have_text("paused")
    expect(page.locator("#do-cancel")).to_be_visible()
    expect(page.locator("#f-cancel")).to_have_value("half a sent")
    expect(page.locator("#f-cancel")).to_be_focused()


def test_pages_work_without_scripts_and_fit_a_phone(
    browser: Browser, module_server: Server, module_serving: Serving
) -> None:
    run = module_server.start("waits", wait="1s")["run_id"]
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)
    page = context.new_page()
    page.goto(f"{module_server.url}/ui/runs/{run}")
    page.get_by_label("Token").fill(module_server.token)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(f"/ui/runs/{run}$"))
    for tab in ("Timeline", "Steps", "History", "Input", "Log"):
        page.get_by_role("link", name=re.compile(f"^{tab}")).click()
        assert page.locator("html").evaluate("e => e.scrollWidth <= innerWidth"), tab
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.locator("#notices")).to_contain_text("The run is paused.")
    page.goto(f"{module_server.url}/ui/runs")
    assert page.locator("html").evaluate("e => e.scrollWidth <= innerWidth")
    context.close()


def test_a_page_that_is_left_open_comes_back_with_the_host_and_ends_with_the_login(
    context: BrowserContext, serving: Serving
) -> None:
    server = serving.serve("--grace", "1s")
    made = serving.json("tokens", "create", "--scope", "operate", "--json")
    page = context.new_page()
    page.goto(f"{server.url}/ui/runs")
    page.get_by_label("Token").fill(made["token"])
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".live")).to_have_text("live")
    server.end()
    expect(page.locator(".live")).to_have_text("offline")
    port = server.url.rpartition(":")[2]
    after = serving.serve("--grace", "1s", "--port", port)
    expect(page.locator(".live")).to_have_text("live")
    run = after.start("quick", wait="10s", word="back")["run_id"]
    expect(page.locator(f"#r-{run}")).to_be_visible()
    serving.json("tokens", "revoke", made["id"], "--json")
    after.start("quick", wait="10s", word="over")
    expect(page.locator("#notices")).to_contain_text("Your login is over.")
