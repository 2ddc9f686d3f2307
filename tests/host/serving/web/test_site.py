"""The pages over HTTP: who may see and do what, and what every answer has."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest

pytest.importorskip("jinja2", reason="the extra 'serve' is not installed")

from tests.pages import HOSTILE, SAME, browser
from tests.serving import Server, Serving

from qtforge_host.serving.http.application import PAGES as ROOT
from qtforge_host.serving.web.pages import PAGES
from qtforge_host.serving.web.static_files import FOLDER, StaticFiles

EMPTY = {"reason": ""}  # a browser sends the fields that nobody has filled in, too


@pytest.fixture(scope="module")
def module_serving(module_serving: Serving) -> Serving:
    """It has a schedule."""
    module_serving.config.write_text("""
[schedules.leap]
workflow = "quick"
cron = "0 0 29 2 *"
""")
    return module_serving


@pytest.fixture(scope="module")
def anna(module_server: Server) -> Iterator[httpx2.Client]:
    """A browser in which the owner of the host has logged in."""
    with browser(module_server) as client:
        yield client


@pytest.fixture(scope="module")
def run_id(module_server: Server) -> str:
    """A run that has succeeded, with a hostile input."""
    return str(module_server.start("quick", wait="10s", word=HOSTILE)["run_id"])


def waiting(server: Server) -> str:
    """Start a run that waits for an event."""
    return str(server.start("waits", wait="1s")["run_id"])


def paths(run_id: str) -> list[str]:
    """Return the path of every page that can be looked at."""
    names = {"schedules": "leap", "workflows": "quick", "plugins": "steps"}
    return [
        each.path.replace("{run_id}", run_id).replace(
            "{name}", names.get(each.path.split("/")[1], "")
        )
        for each in PAGES
        if each.show is not None
    ]


def test_a_page_asks_who_has_not_logged_in_and_comes_back(module_server: Server) -> None:
    with httpx2.Client(base_url=module_server.url, headers=SAME) as client:
        refused = client.get(f"{ROOT}/runs?status=failed")
        assert refused.status_code == 303
        login = client.get(refused.headers["location"])
        assert login.status_code == 200
        action = re.search(r'action="([^"]*)"', login.text)
        assert action is not None
        back = client.post(action[1], data={"token": module_server.token})
        assert back.headers["location"] == f"{ROOT}/runs?status=failed"
        cookie = back.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert f"Path={ROOT};" in cookie


@pytest.mark.parametrize(
    "to", ["https://evil.example", "//evil.example", "/\\evil.example", "/login", "runs"]
)
def test_a_login_leads_to_no_other_site(to: str, module_server: Server) -> None:
    with httpx2.Client(base_url=module_server.url, headers=SAME) as client:
        done = client.post(
            f"{ROOT}/login", params={"next": to}, data={"token": module_server.token}
        )
        assert done.headers["location"] == f"{ROOT}/runs"


def test_a_wrong_token_is_refused_in_words(module_server: Server) -> None:
    with httpx2.Client(base_url=module_server.url, headers=SAME) as client:
        done = client.post(f"{ROOT}/login", data={"token": "wrong"})
        assert done.status_code == 401
        assert "The token is wrong" in done.text
        assert "set-cookie" not in done.headers


def test_a_link_of_another_site_sends_the_cookie_with_a_second_request(
    module_server: Server,
) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    without = httpx2.get(f"{module_server.url}{ROOT}/runs", headers=headers)
    assert 'http-equiv="refresh"' in without.text


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": ""}, {}],
)
def test_a_form_of_another_site_does_nothing(
    headers: dict[str, str], anna: httpx2.Client, module_server: Server
) -> None:
    run = waiting(module_server)
    with httpx2.Client(base_url=module_server.url, cookies=anna.cookies) as client:
        done = client.post(f"{ROOT}/runs/{run}/cancel", headers=headers)
    assert done.status_code == 403
    assert module_server.run(run)["status"] == "waiting"


def test_a_form_without_fetch_metadata_is_taken_with_the_right_origin(
    anna: httpx2.Client, module_server: Server
) -> None:
    run = waiting(module_server)
    path = f"{ROOT}/runs/{run}/cancel"
    content = "reason=double"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    with httpx2.Client(base_url=module_server.url, cookies=anna.cookies) as client:
        other = client.post(path, content=content, headers={"Origin": "http://evil", **kind})
        assert other.status_code == 403
        own = client.post(path, content=content, headers={"Origin": module_server.url, **kind})
    assert own.status_code == 303
    assert module_server.run(run)["status"] == "cancelled"


def test_the_interface_of_programs_takes_no_login(
    anna: httpx2.Client, module_server: Server
) -> None:
    assert anna.get("/v1/runs").status_code == 401


@pytest.mark.parametrize("scope", ["read", "approve"])
def test_who_may_only_look_sees_no_action_and_can_do_none(
    scope: str, module_server: Server, module_serving: Serving
) -> None:
    words = ("tokens", "create", "--scope", scope, "--name", HOSTILE, "--json")
    token = module_serving.json(*words)["token"]
    run = waiting(module_server)
    with browser(module_server, token) as client:
        page = client.get(f"{ROOT}/runs/{run}")
        assert page.status_code == 200
        assert "/cancel" not in page.text
        assert HOSTILE not in page.text
        assert client.post(f"{ROOT}/runs/{run}/cancel", data={"reason": "x"}).status_code == 403
    assert module_server.run(run)["status"] == "waiting"


def test_every_page_keeps_browsers_from_running_what_others_have_written(
    anna: httpx2.Client, run_id: str
) -> None:
    for path in [*paths(run_id), f"/runs/{run_id}?tab=input", f"/runs/{run_id}?tab=steps"]:
        page = anna.get(ROOT + path)
        assert page.status_code == 200, path
        if "html" not in page.headers["content-type"]:
            continue
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert "<script>alert" not in page.text
        assert not re.search(r"\sstyle=|<style|\son\w+=|<script>", page.text), path
    assert "&lt;script&gt;" in anna.get(f"{ROOT}/runs/{run_id}?tab=input").text


@pytest.mark.parametrize("tab", ["timeline", "steps", "history", "input", "log"])
def test_each_part_of_a_run_is_a_page_of_its_own(
    tab: str, anna: httpx2.Client, run_id: str
) -> None:
    page = anna.get(f"{ROOT}/runs/{run_id}?tab={tab}")
    assert page.status_code == 200
    assert f'?tab={tab}" aria-current="page"' in page.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/runs?status=wrong", 400), ("/runs?unknown=1", 400), ("/runs?until=never", 400),
        ("/runs?tag=nothing", 422), ("/runs/nothing", 404), ("/runs/a%2Fb", 404),
        ("/nothing", 404), ("/runs/x/cancel", 405), ("/", 404),
    ],
)  # fmt: skip
def test_what_is_not_possible_is_a_page_that_says_why(
    path: str, status: int, anna: httpx2.Client
) -> None:
    page = anna.get(ROOT + path)
    assert page.status_code == status
    assert "Not possible" in page.text


def test_an_action_says_in_words_what_it_did_and_is_in_the_persons_name(
    module_server: Server, module_serving: Serving
) -> None:
    words = ("tokens", "create", "--scope", "operate", "--name", "Anna", "--json")
    token = module_serving.json(*words)["token"]
    run = waiting(module_server)
    with browser(module_server, token) as client:
        page = client.get(f"{ROOT}/runs/{run}")
        assert f"qtforge-host runs cancel {run}" in page.text
        done = client.post(f"{ROOT}/runs/{run}/cancel", data={"reason": "it was double"})
        assert "The run was cancelled." in done.text
        assert "The run was cancelled." not in client.get(f"{ROOT}/runs/{run}").text
    history = [each["text"] for each in module_server.run(run)["history"]]
    assert any("by Anna (it was double)" in each for each in history)


def test_an_action_that_is_not_possible_any_more_says_why(anna: httpx2.Client, run_id: str) -> None:
    page = f"{ROOT}/runs/{run_id}"
    done = anna.post(
        f"{page}/pause", data=EMPTY, headers={"Referer": str(anna.base_url) + page[1:]}
    )
    assert done.status_code == 200
    assert 'role="alert"' in done.text
    part = anna.post(f"{page}/pause", data=EMPTY, headers={"HX-Request": "true"})
    assert "<html" not in part.text
    assert 'role="alert"' in part.text


def test_runs_are_paused_resumed_retried_forked_and_done_again_by_forms(
    anna: httpx2.Client, module_server: Server, run_id: str
) -> None:
    run = waiting(module_server)

    def do(which: str, action: str, **fields: str) -> tuple[str, str]:
        done = anna.post(f"{ROOT}/runs/{which}/{action}", data=fields or EMPTY)
        found = re.search(r'<div class="notice.*?<b>(.*?)</b>', done.text)
        assert found is not None, done.text
        return found[1], done.url.path.rpartition("/")[2]

    assert do(run, "pause") == ("The run is paused.", run)
    assert do(run, "resume") == ("The run continues.", run)
    assert do(run, "cancel")[0] == "The run was cancelled."
    assert do(run, "retry")[0] == "The run is retried."
    said, forked = do(run_id, "fork", from_step="only")
    assert "forked" in said
    assert forked != run_id
    said, again = do(run_id, "rerun")
    assert "new run" in said
    assert again not in (run_id, forked)


def test_a_login_ends_when_it_is_ended(module_server: Server) -> None:
    with browser(module_server) as client:
        assert client.post(f"{ROOT}/logout").url.path == f"{ROOT}/login"
        assert client.get(f"{ROOT}/runs").url.path == f"{ROOT}/login"


def test_a_browser_at_the_root_is_sent_to_the_runs_and_a_program_sees_the_endpoints(
    anna: httpx2.Client, module_server: Server
) -> None:
    assert anna.get("/", headers={"Accept": "text/html"}).url.path == f"{ROOT}/runs"
    assert "/v1/runs" in module_server.get("/").text


def test_static_files_are_kept_for_ever_and_change_their_names(
    anna: httpx2.Client, module_server: Server
) -> None:
    page = anna.get(f"{ROOT}/runs").text
    names = set(re.findall(rf'{ROOT}/static/([^"#]+)', page))
    assert len(names) >= 5
    for name in names:
        assert re.fullmatch(r"[\w.-]+\.[0-9a-f]{12}\.(js|css|svg)", name)
        found = httpx2.get(f"{module_server.url}{ROOT}/static/{name}")
        assert found.status_code == 200
        assert "immutable" in found.headers["cache-control"]
        assert found.headers["content-encoding"] == "gzip"
    for wrong in ("app.css", "..%2Fsite.py", "htmx.LICENSE"):
        assert httpx2.get(f"{module_server.url}{ROOT}/static/{wrong}").status_code == 404


def test_all_that_a_browser_loads_once_is_small() -> None:
    assert StaticFiles().compressed_bytes < 30_000


def test_what_others_have_made_is_what_they_have_published() -> None:

    # Of htmx.org 4.0.1 on npm: dist/htmx.min.js and dist/ext/hx-sse.min.js.
    published = {
        "htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
        "hx-sse.min.js": "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103",
    }
    for name, digest in published.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest
    assert "Zero-Clause BSD" in (FOLDER / "htmx.LICENSE").read_text()


def test_the_pages_are_imported_when_somebody_looks(module_server: Server) -> None:

    code = "import sys, qtforge_host.serving.process as p; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def events(answer: httpx2.Response) -> Iterator[str]:
    """Give each event of a stream, without what only shows that it is alive."""
    event: list[str] = []
    for line in answer.iter_lines():
        if line:
            event += [] if line.startswith(":") else [line]
        elif any(not each.startswith("id:") for each in event):
            yield "\n".join(event)
            event = []
        else:
            event = []


def test_a_stream_begins_at_what_the_page_shows_and_tells_what_changes(
    anna: httpx2.Client, module_server: Server
) -> None:
    run = waiting(module_server)
    page = anna.get(f"{ROOT}/runs/{run}?tab=history").text
    found = re.search(r'data-live="([^"]*)"', page)
    assert found is not None
    with anna.stream("GET", found[1].replace("&amp;", "&")) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        each = events(answer)
        assert "#run" not in next(each)  # only the number of what waits, which no page has yet
        module_server.post(f"/v1/runs/{run}/pause", {})
        told = next(each)
    assert 'hx-target="#run"' in told
    assert "paused" in told
    id_ = re.search(r"^id: (.*)$", told, re.MULTILINE)
    assert id_ is not None
    # A browser that connects again is told nothing that it has seen already.
    headers = {"Last-Event-ID": id_[1]}
    with anna.stream("GET", found[1].replace("&amp;", "&"), headers=headers) as answer:
        assert "#run" not in next(events(answer))


def test_a_stream_catches_up_with_what_happened_before_it_was_opened(
    anna: httpx2.Client, module_server: Server
) -> None:
    run = waiting(module_server)
    with anna.stream("GET", f"{ROOT}/live/runs/{run}?seen=earlier") as answer:
        assert 'hx-target="#run"' in next(events(answer))
    once = anna.get(f"{ROOT}/live/runs/{run}?seen=earlier&once=1")
    assert once.text.startswith('<hx-partial hx-target="#run"')


def test_a_stream_without_a_login_says_so_and_ends(module_server: Server) -> None:
    with httpx2.stream("GET", f"{module_server.url}{ROOT}/live/runs", timeout=60.0) as answer:
        told = list(events(answer))
    assert "Your login is over." in told[0]
    assert "event: end" in told[1]
    assert len(told) == 2


def test_a_stream_of_a_run_that_is_gone_says_so_and_ends(anna: httpx2.Client) -> None:
    with anna.stream("GET", f"{ROOT}/live/runs/gone") as answer:
        told = list(events(answer))
    assert "gone" in told[0]
    assert "event: end" in told[1]
    assert len(told) == 2


@pytest.mark.parametrize("path", ["/nothing", "/login", "/runs/x/cancel"])
def test_only_pages_have_streams(path: str, anna: httpx2.Client) -> None:
    assert anna.get(f"{ROOT}/live{path}").status_code in (404, 405)
