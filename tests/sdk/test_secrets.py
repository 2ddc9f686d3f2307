from __future__ import annotations

import base64
import urllib.parse

import pytest

from qtforge_sdk.errors import OperationError
from qtforge_sdk.secrets import Secrets


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
    assert secrets.conceal("one-value") == "one-value"
    secrets.reveal("${secret.A}")
    assert secrets.conceal("got one-value here") == "got *** here"


def test_a_secret_is_hidden_in_its_encoded_forms_too() -> None:
    value = "p@ss w/rd+é'\"ß"
    secrets = Secrets({"A": value}.get)
    secrets.reveal("${secret.A}")
    encoded = base64.b64encode(value.encode()).decode()
    forms = [urllib.parse.quote(value), urllib.parse.quote_plus(value), encoded, value]
    concealed = secrets.conceal(" ".join(forms))
    for form in forms:
        assert form.rstrip("=") not in concealed


def test_of_two_secrets_the_longer_is_hidden_whole() -> None:
    secrets = Secrets({"A": "abc", "B": "abcdef"}.get)
    secrets.reveal(["${secret.A}", "${secret.B}"])
    assert secrets.conceal("abcdef") == "***"
