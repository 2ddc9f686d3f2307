from __future__ import annotations

import base64
import html
import json
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_sdk.errors import OperationError
from qtforge_sdk.secrets import LEAST_REPLACED, Secrets


def test_a_placeholder_is_replaced_wherever_it_stands() -> None:
    secrets = Secrets({"A": "one", "B": "two"}.get)
    given: object = {
        "url": "x://${secret.A}:${ secret.B }@host",
        "list": ["${secret.A}", 3],
        "n": None,
    }
    assert secrets.reveal(given) == {"url": "x://one:two@host", "list": ["one", 3], "n": None}


def test_an_unknown_secret_is_an_error_that_names_it_and_the_variable() -> None:
    with pytest.raises(OperationError) as caught:
        Secrets(lambda name: None).reveal("${secret.TOKEN}")
    assert caught.value.code == "secret.missing"
    assert "QTFORGE_SECRET_TOKEN" in caught.value.fix


def test_only_what_was_given_out_is_hidden() -> None:
    secrets = Secrets({"A": "one-value"}.get)
    assert secrets.mask("one-value") == "one-value"
    secrets.reveal("${secret.A}")
    assert secrets.mask("got one-value here") == "got *** here"


def test_a_secret_is_hidden_in_its_encoded_forms_too() -> None:
    value = "p@ss w/rd+é'\"ß"
    secrets = Secrets({"A": value}.get)
    secrets.reveal("${secret.A}")
    encoded = base64.b64encode(value.encode()).decode()
    forms = [urllib.parse.quote(value), urllib.parse.quote_plus(value), encoded, value]
    forms += [html.escape(value), json.dumps(value)[1:-1], urllib.parse.quote(value).lower()]
    masked = secrets.mask(" ".join(forms))
    for form in forms:
        assert form.rstrip("=") not in masked


def test_of_two_secrets_the_longer_is_hidden_whole() -> None:
    secrets = Secrets({"A": "abc", "B": "abcdef"}.get)
    secrets.reveal(["${secret.A}", "${secret.B}"])
    assert secrets.mask("abcdef") == "***"


@pytest.mark.parametrize("user", ["", "u", "us", "use", "user-ß"])
@pytest.mark.parametrize("password", ["s3cret-é?~", "s3cret"])
def test_a_secret_is_hidden_within_base64_whatever_stands_around_it(
    user: str, password: str
) -> None:
    secrets = Secrets({"A": password}.get)
    secrets.reveal("${secret.A}")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        header = encode(f"{user}:{password}, and more".encode()).decode()
        hidden = secrets.mask(f"Basic {header}")
        assert "***" in hidden
        # What is left of the neighbouring characters does not give the secret away.
        left = max(hidden.removeprefix("Basic ").split("***"), key=len)
        assert base64.b64encode(password.encode()).decode()[:6] not in left


def test_a_secret_can_be_encoded_for_the_place_that_it_takes() -> None:
    secrets = Secrets({"A": "p@ss/word"}.get)
    quote = urllib.parse.quote_plus
    assert (
        secrets.reveal("https://u:${secret.A}@host", encode=quote) == "https://u:p%40ss%2Fword@host"
    )


def test_what_was_made_from_a_secret_can_be_hidden_as_well() -> None:
    secrets = Secrets(lambda name: None)
    secrets.hide("derived")
    assert secrets.mask("it was derived") == "it was ***"


def referred(secrets: Secrets, text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return a text with references, and what they were made for."""
    found: list[tuple[str, str]] = []

    def refer(name: str, value: str) -> str:
        found.append((name, value))
        return f"<{len(found)}>"

    return secrets.replace(text, refer), found


def test_a_revealed_secret_is_replaced_by_a_reference_that_knows_its_name() -> None:
    secrets = Secrets({"TOKEN": "a-long-value"}.get)
    assert referred(secrets, "a-long-value") == ("a-long-value", [])
    secrets.reveal("${secret.TOKEN}")
    encoded = base64.b64encode(b"a-long-value").decode()
    text, found = referred(secrets, f"a-long-value and {encoded}")
    assert text == "<1> and <2>"
    assert found == [("TOKEN", "a-long-value"), ("", encoded)]


@given(
    values=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=3),
    before=st.text(max_size=5),
    encode=st.sampled_from([str, urllib.parse.quote, json.dumps, repr, html.escape]),
)
def test_a_secret_that_is_replaced_occurs_in_the_encoded_text(
    values: list[str], before: str, encode: Callable[[str], str]
) -> None:
    secrets = Secrets(lambda _: None)
    assert not secrets.occur_in(values[0].encode())
    for each in values:
        secrets.hide(each)
    for each in values:
        text = before + encode(each)
        replaced, _ = referred(secrets, text)
        assert secrets.occur_in(text.encode()) == (replaced != text)


def test_a_value_that_is_not_utf_8_is_hidden_too() -> None:
    secrets = Secrets(lambda _: None)
    secrets.hide("a-long-\udcff-value")
    assert (
        secrets.mask("it is a-long-\udcff-value, or a-long-%ED%B3%BF-value") == "it is ***, or ***"
    )
    assert not secrets.occur_in(b"a-long-?-value")


@pytest.mark.parametrize("length", [1, LEAST_REPLACED - 1, LEAST_REPLACED])
def test_a_short_secret_is_masked_and_not_replaced(length: int) -> None:
    value = "z" * length
    secrets = Secrets({"A": value}.get)
    secrets.reveal("${secret.A}")
    assert secrets.mask(f"a {value} b") == "a *** b"
    replaced = "<1>" if length >= LEAST_REPLACED else value
    assert referred(secrets, f"a {value} b")[0] == f"a {replaced} b"


def test_a_text_is_hidden_until_each_that_hid_it_has_forgotten_it() -> None:
    secrets = Secrets({"A": "revealed-value"}.get)
    secrets.hide("twice-hidden")
    secrets.hide("twice-hidden")
    secrets.forget("twice-hidden")
    assert secrets.mask("twice-hidden") == "***"
    secrets.forget("twice-hidden")
    secrets.forget("twice-hidden")
    assert secrets.mask("twice-hidden") == "twice-hidden"
    assert not secrets.any_hidden
    secrets.reveal(["${secret.A}", "${secret.A}"])
    secrets.hide("revealed-value")
    secrets.forget("revealed-value")
    assert secrets.mask("revealed-value") == "***"
