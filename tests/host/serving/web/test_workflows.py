"""The workflows over HTTP, and the form that starts their runs."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

pytest.importorskip("jinja2", reason="the extra 'serve' is not installed")

from tests.pages import HOSTILE, browser
from tests.serving import Server, Serving, until

from qtforge_host.serving.http.application import PAGES as ROOT
from qtforge_host.serving.web.input_form import WrongField, fields_of, input_of, texts_of

WORKFLOWS = f"{ROOT}/workflows"
SECRET = "correct horse battery"
TYPED = f"""
name = "typed"
kind = "sequential"
version = "1.0.0"
description = '''{HOSTILE}'''

[inputs.word]
type = "string"
description = '''{HOSTILE}'''
[inputs.count]
type = "integer"
min = 1
max = 9
[inputs.due]
type = "date"
required = false
[inputs.size]
type = "string"
enum = ["small", "large"]
default = "large"
[inputs.loud]
type = "boolean"
default = true
[inputs.names]
type = "list[string]"
required = false
[inputs.password]
type = "string"
secret = true
required = false

[[stages]]
name = "only"
operation = "steps.note"
message = {{ text = "${{input.word}} ${{input.count}}" }}
"""
CARD = """
name = "card"
kind = "sequential"
version = "1.0.0"
secret_inputs = ["card.number"]

[[stages]]
name = "only"
operation = "steps.note"
message = { text = "paid" }
"""
BROKEN = """
name = "broken"
kind = "sequential"
version = "1.0.0"
[[stages]]
name = "only"
operation = "steps.note"
timeot = "<script>alert(1)</script>"
"""


@pytest.fixture(scope="module")
def server(module_serving: Serving) -> Server:
    folder = module_serving.config.parent / "workflows"
    folder.mkdir()
    (folder / "typed.toml").write_text(TYPED)
    (folder / "broken.toml").write_text(BROKEN)
    (folder / "card.toml").write_text(CARD)
    return module_serving.serve("--grace", "1s", "--rate", "10000/s")


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx2.Client]:
    with browser(server) as client:
        yield client


def opened(client: httpx2.Client, name: str, like: str = "") -> str:
    found = client.get(f"{WORKFLOWS}/{name}/start", params={"like": like} if like else {})
    assert found.status_code == 200, found.text
    return found.text


def key_of(page: str) -> str:
    found = re.search(r'name="key" value="([0-9a-f-]{36})"', page)
    assert found is not None
    return found[1]


def sent(client: httpx2.Client, name: str, key: str, **inputs: str) -> httpx2.Response:
    fields = {f"input:{each}": value for each, value in inputs.items()}
    return client.post(f"{WORKFLOWS}/{name}/start", data={"key": key, **fields})


def runs(server: Server, workflow: str) -> list[Any]:
    found: list[Any] = server.get(f"/v1/runs?workflow={workflow}").json()["runs"]
    return found


def test_the_list_has_each_workflow_with_its_runs_and_what_is_wrong_with_it(
    server: Server, client: httpx2.Client
) -> None:
    server.start("quick", wait="20s", word="x")
    until(lambda: "workflow=quick&amp;status=succeeded" in client.get(WORKFLOWS).text)
    page = client.get(WORKFLOWS).text
    assert page.index("/workflows/broken") < page.index("/workflows/quick")
    assert "timeot" in page
    assert "<script>alert" not in page
    broken = client.get(f"{WORKFLOWS}/broken").text
    assert "broken.toml:8" in broken
    assert "/workflows/broken/start" not in broken
    assert "<script>alert" not in broken


def test_a_workflow_shows_its_definition_graph_and_inputs(client: httpx2.Client) -> None:
    page = until(lambda: "<svg role" in (text := client.get(f"{WORKFLOWS}/typed").text) and text)
    assert "operation = &#34;steps.note&#34;" in page
    assert "/workflows/typed/start" in page
    assert "<script>alert" not in page
    assert client.get(f"{WORKFLOWS}/waits").status_code == 200
    assert client.get(f"{WORKFLOWS}/none").status_code == 404
    assert client.get(f"{WORKFLOWS}/none/start").status_code == 404


def test_a_form_starts_one_run_however_often_it_is_sent(
    server: Server, client: httpx2.Client
) -> None:
    key = key_of(opened(client, "typed"))
    before = len(runs(server, "typed"))
    inputs = {"word": HOSTILE, "count": "3", "due": "2026-12-24", "names": '["a"]'}
    first, second = (sent(client, "typed", key, **inputs, size='"small"') for _ in range(2))
    assert first.url == second.url
    assert "was started" in first.text
    assert "<script>alert" not in first.text
    started = runs(server, "typed")
    assert len(started) == before + 1
    assert server.run(started[0]["run_id"])["input"] == {
        "word": HOSTILE, "count": 3, "due": "2026-12-24", "names": ["a"], "size": "small",
        "loud": False, "password": None,
    }  # fmt: skip


def test_an_old_form_with_another_input_is_refused_once_and_then_starts_another_run(
    server: Server, client: httpx2.Client
) -> None:
    key = key_of(opened(client, "typed"))
    sent(client, "typed", key, word="one", count="1")
    before = len(runs(server, "typed"))
    for old in (key, HOSTILE + "ü"):
        refused = sent(client, "typed", old, word="two", count="2")
        assert refused.status_code == 422
        fresh = key_of(refused.text)
        assert fresh != old
        assert len(runs(server, "typed")) == before
    assert "was started" in sent(client, "typed", fresh, word="two", count="2").text
    assert len(runs(server, "typed")) == before + 1


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"count": "3"}, "word"),
        ({"word": "<b>kept", "count": "12"}, "count"),
        ({"word": "<b>kept", "count": "many"}, "count"),
        ({"word": "<b>kept", "count": "3", "due": "soon"}, "due"),
        ({"word": "<b>kept", "count": "3", "names": "[1,"}, "names"),
        ({"word": "<b>kept", "count": "3", "size": "small"}, "size"),
    ],
)
def test_an_input_that_is_refused_is_said_at_the_form_which_keeps_what_was_typed(
    inputs: dict[str, str], said: str, server: Server, client: httpx2.Client
) -> None:
    before, key = runs(server, "typed"), key_of(opened(client, "typed"))
    refused = sent(client, "typed", key, **inputs, password=SECRET)
    assert refused.status_code == 422
    alert = re.search(r'role="alert">.*?</section>', refused.text, re.DOTALL)
    assert alert is not None
    assert said in alert[0]
    assert key_of(refused.text) == key
    assert SECRET not in refused.text
    for text in inputs.values():
        assert html.escape(text, quote=False) in refused.text or f"&#34;{text}" in refused.text
    assert "<b>kept" not in refused.text
    assert re.search(r'aria-invalid="true"', refused.text) is not None
    assert runs(server, "typed") == before


def test_the_input_of_an_earlier_run_is_filled_in_but_for_its_secrets(
    server: Server, client: httpx2.Client
) -> None:
    given = {"word": f"{HOSTILE}\nand", "count": 4, "loud": False, "password": SECRET}
    run_id = server.start("typed", wait="20s", **given)["run_id"]
    for tab in ("timeline", "input"):
        seen = client.get(f"{ROOT}/runs/{run_id}?tab={tab}").text
        assert f"/workflows/typed/start?like={run_id}" in seen
        assert "Run again with other input" in seen
    page = opened(client, "typed", run_id)
    assert 'value="4"' in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert not re.search(r'value="true" checked', page)
    assert SECRET not in page
    assert "***" not in page
    assert "What is secret" in page
    other = server.start("quick", wait="20s", word="x")["run_id"]
    assert client.get(f"{WORKFLOWS}/typed/start?like={other}").status_code == 422
    assert client.get(f"{WORKFLOWS}/typed/start?like=none").status_code == 404


def test_a_secret_within_an_input_as_json_is_left_out_with_what_is_around_it(
    server: Server, client: httpx2.Client
) -> None:
    given = {"card": {"number": SECRET, "owner": "Zoe"}, "amount": 12}
    run_id = server.start("card", wait="20s", **given)["run_id"]
    page = opened(client, "card", run_id)
    assert "&#34;amount&#34;: 12" in page
    assert "What is secret" in page
    assert SECRET not in page
    assert "number" not in page


def test_a_workflow_without_declared_inputs_takes_them_as_json(
    server: Server, client: httpx2.Client
) -> None:
    def send(text: str) -> httpx2.Response:
        fields = {"key": key_of(opened(client, "quick")), "input:": text}
        return client.post(f"{WORKFLOWS}/quick/start", data=fields)

    for wrong in ('{"word": ', '["word"]', HOSTILE):
        refused = send(wrong)
        assert refused.status_code == 422
        assert "JSON" in refused.text
        assert html.escape(wrong, quote=False).replace('"', "&#34;").replace("'", "&#39;") in (
            refused.text
        )
    assert "was started" in send('{"word": "from the form"}').text
    (newest, *_) = runs(server, "quick")
    assert server.run(newest["run_id"])["input"] == {"word": "from the form"}
    assert "from the form" in opened(client, "quick", newest["run_id"])


def test_who_may_not_operate_starts_nothing(server: Server, module_serving: Serving) -> None:
    words = ("tokens", "create", "--json", "--scope", "approve")
    before = runs(server, "quick")
    with browser(server, module_serving.json(*words)["token"]) as approver:
        assert "/workflows/quick/start" not in approver.get(f"{WORKFLOWS}/quick").text
        assert approver.get(f"{WORKFLOWS}/quick/start").status_code == 403
        assert sent(approver, "quick", "a" * 36).status_code == 403
    assert runs(server, "quick") == before


@pytest.mark.parametrize(
    ("schema", "value", "kind"),
    [
        ({"type": "string"}, "5", "text"),
        ({"type": "string"}, "two\nlines", "long"),
        ({"type": ["integer", "null"], "minimum": 1}, 5, "number"),
        ({"type": "number"}, 0.5, "number"),
        ({"type": "string", "format": "date"}, "2026-12-24", "date"),
        ({"type": "boolean", "default": True}, False, "check"),
        ({"type": ["boolean", "null"]}, False, "select"),
        ({"type": "integer", "enum": [1, 2]}, 2, "select"),
        ({"type": ["string", "number"]}, "90s", "text"),
        ({"type": "array", "items": {"type": "string"}}, ["a", "ü"], "json"),
        ({"type": "object"}, {"a": [1, None]}, "json"),
        ({}, "plain", "any"),
        ({}, "5", "any"),
        ({}, [1], "any"),
    ],
)
def test_a_value_comes_back_as_it_was_from_the_field_of_its_type(
    schema: dict[str, Any], value: Any, kind: str
) -> None:
    whole = {"properties": {"x": schema}, "required": []}
    texts = texts_of(whole, {"x": value}, ())
    (field,) = fields_of(whole, texts)
    assert field.kind == kind
    sent = texts["x"].replace("\n", "\r\n")  # as browsers send it
    assert input_of(whole, {"x": sent}) == {"x": value}


def test_nothing_that_is_or_was_secret_is_filled_in() -> None:
    reference = "${input.card.number~0123456789abcdef}"
    given = {
        "a": "x ***", "b": {"c": "***", "d": 1}, "e": 1, "f": [["***"]], "g": "plain",
        "h": {"number": reference}, "i": [f"Bearer {reference}"], "j": {reference: 1},
    }  # fmt: skip
    assert texts_of(None, given, ("g.h",)) == {"": '{\n  "e": 1\n}'}
    schema = {"properties": {"e": {"type": "integer", "writeOnly": True}, "g": {"type": "string"}}}
    assert texts_of(schema, given, ()) == {"g": "plain"}
    (secret, _) = fields_of(schema, {"e": "5"})
    assert (secret.kind, secret.text) == ("secret", "")


def test_json_that_is_none_is_said_at_its_field() -> None:
    schema = {"properties": {"x": {"type": "array"}}}
    with pytest.raises(WrongField, match="is not JSON"):
        input_of(schema, {"x": "[1"})
