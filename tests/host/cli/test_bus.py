"""What the commands for the bus show."""

from __future__ import annotations

from typing import Any

import pytest

VALUE = "Tr0ub4dor-and-3"
SOURCE = """
from qtforge_sdk import Plugin, hookimpl, operation


class Example(Plugin):
    @hookimpl
    async def qtforge_start(self, context):
        self.secrets = context.secrets

    @operation("vault.known")
    async def known(self, message):
        return {"header": "Bearer " + self.secrets.reveal("${secret.TOKEN}"), "n": 1}

    @operation("vault.declared", secret_fields=("token", "users.key"))
    async def declared(self, message):
        return {"token": "abc", "users": [{"key": "k1", "name": "Ada"}], "empty": None}

    @operation("vault.kept", keep_secrets=True)
    async def kept(self, message):
        return self.secrets.reveal("${secret.TOKEN}")

    @operation("vault.plain")
    async def plain(self, message):
        return {"text": "nothing to hide"}
"""


@pytest.mark.parametrize(
    ("topic", "shown"),
    [
        ("vault.known", {"header": "Bearer ***", "n": 1}),
        (
            "vault.declared",
            {"token": "***", "users": [{"key": "***", "name": "Ada"}], "empty": None},
        ),
        ("vault.plain", {"text": "nothing to hide"}),
    ],
)
def test_what_is_secret_in_an_answer_is_not_shown(
    cli: Any, site: Any, topic: str, shown: Any
) -> None:
    site.plugin("vault", source=SOURCE)

    said = cli("bus", "request", topic, "--json", path=site.root, QTFORGE_SECRET_TOKEN=VALUE)

    assert (said.code, said.json["response"]) == (0, shown)


def test_an_operation_that_keeps_its_secrets_is_asked_for_them(cli: Any, site: Any) -> None:
    site.plugin("vault", source=SOURCE)

    said = cli("bus", "request", "vault.kept", "--json", path=site.root, QTFORGE_SECRET_TOKEN=VALUE)

    assert (said.code, said.json["response"]) == (0, VALUE)
