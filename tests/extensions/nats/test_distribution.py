"""The distribution: what its entry points name."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from qtforge_nats import NatsTransport
from qtforge_sdk.transport import TransportSettings

_FOLDER = Path(__file__).parents[3] / "extensions" / "qtforge-nats"


def test_both_schemes_are_entry_points_of_one_factory() -> None:
    project = tomllib.loads((_FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project["entry-points"]["qtforge.transports"]
    assert sorted(points) == ["nats", "tls"]
    for name, target in points.items():
        module, _, attribute = target.partition(":")
        factory = getattr(importlib.import_module(module), attribute)
        settings = TransportSettings(url=f"{name}://bus", name="here", instance="7")
        transport = factory(settings)
        assert isinstance(transport, NatsTransport)
        assert transport.node == "here.7"
        assert transport.trouble == "it is not open"
