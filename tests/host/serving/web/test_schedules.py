"""The schedules over HTTP: what is seen of them, and who starts, pauses and resumes them."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx2
import pytest

pytest.importorskip("jinja2", reason="the extra 'serve' is not installed")

from tests.pages import HOSTILE, browser
from tests.serving import Server, Serving, until

from qtforge_host.serving.http.application import PAGES as ROOT

SCHEDULES = f"{ROOT}/schedules"
CONFIGURED = f"""
[schedules.leap]
workflow = "quick"
cron = "0 0 29 2 *"
timezone = "Europe/Berlin"
input = {{ word = '''{HOSTILE}''' }}

[schedules.busy]
workflow = "waits"
every = "40d"

[schedules."{HOSTILE.replace('"', "")}"]
workflow = "quick"
cron = ["@daily", "30 6 * * mon-fri"]
enabled = false
input = {{ word = "never" }}
"""


def send(client: httpx2.Client, path: str, **form: str) -> httpx2.Response:
    """Send a form, as a browser does where it has no fields, too."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return client.post(f"{SCHEDULES}/{path}", content=urlencode(form), headers=headers)


@pytest.fixture(scope="module")
def server(module_serving: Serving) -> Server:
    module_serving.config.write_text(CONFIGURED)
    return module_serving.serve("--grace", "1s", "--rate", "10000/s")


def test_each_schedule_says_when_it_starts_runs_and_what_became_of_that(server: Server) -> None:
    with browser(server) as client:
        page = client.get(SCHEDULES).text
        assert "At 00:00 on February 29 · Europe/Berlin" in page
        assert "At 00:00 every day; At 06:30 on Monday through Friday" in page
        assert "switched off" in page
        assert "<script>alert" not in page
        started = send(client, "leap/trigger").text
        assert "A run was queued" in started
        assert "started by hand" in started
        assert "<script>alert" not in started
        assert "-02-29 00:00:00" in started
        (run_id,) = server.get("/v1/schedules/leap").json()["past"][0]["run_id"].split()
        until(lambda: server.run(run_id)["finished_at"])
        assert f"/runs/{run_id}" in client.get(SCHEDULES).text
        assert "succeeded" in client.get(f"{SCHEDULES}/leap").text


def test_a_run_that_is_unfinished_is_said_and_another_started_only_where_asked(
    server: Server,
) -> None:
    with browser(server) as client:
        first = send(client, "busy/trigger").text
        assert "A run was queued" in first
        assert "is not finished" in send(client, "busy/trigger").text
        send(client, "busy/trigger", force="true")
    assert len(server.get("/v1/schedules/busy").json()["unfinished"]) == 2


def test_a_schedule_is_paused_with_a_reason_and_resumed(server: Server) -> None:
    def paused() -> object:
        return server.get("/v1/schedules/leap").json()["schedule"]["paused_at"]

    with browser(server) as client:
        page = send(client, "leap/pause", reason=HOSTILE).text
        assert "The schedule is paused" in page
        assert "&lt;script&gt;alert" in page
        assert "<script>alert" not in page + client.get(SCHEDULES).text
        assert paused() is not None
        assert "The schedule is resumed" in send(client, "leap/resume").text
        assert paused() is None


@pytest.mark.parametrize("action", ["trigger", "pause", "resume"])
def test_who_may_not_operate_sees_the_schedules_and_changes_none(
    action: str, server: Server, module_serving: Serving
) -> None:
    before = server.get("/v1/schedules/leap").json()["schedule"]
    words = ("tokens", "create", "--json", "--scope", "approve")
    with browser(server, module_serving.json(*words)["token"]) as client:
        page = client.get(f"{SCHEDULES}/leap").text + client.get(SCHEDULES).text
        assert "February 29" in page
        assert "popovertarget" not in page
        assert send(client, f"leap/{action}").status_code == 403
    assert server.get("/v1/schedules/leap").json()["schedule"] == before


def test_what_is_no_schedule_or_no_field_is_refused(server: Server) -> None:
    with browser(server) as client:
        assert client.get(f"{SCHEDULES}/lap").status_code == 404
        assert client.get(f"{SCHEDULES}?x=1").status_code in (400, 422)
        assert client.get(f"{SCHEDULES}/leap/pause").status_code == 405
        assert "paused" not in send(client, "leap/pause", why="x").text
