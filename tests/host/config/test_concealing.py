from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from qtforge_host.cli.logs import JsonFormatter, TextFormatter
from qtforge_host.config.secrets import MaskingFilter


@pytest.fixture(params=[TextFormatter("%(message)s"), JsonFormatter()], ids=["text", "json"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param)
    logging.getLogger().addHandler(handler)
    masking = MaskingFilter(lambda text: text.replace("s3cret", "***"))
    masking.attach()
    yield stream
    masking.detach()
    logging.getLogger().removeHandler(handler)


def test_a_secret_stays_out_of_messages_and_tracebacks(written: io.StringIO) -> None:
    try:
        raise ValueError("no access with s3cret")
    except ValueError:
        logging.getLogger("some.library").exception("GET %s", "https://u:s3cret@host/")
    text = written.getvalue()
    assert "s3cret" not in text
    assert "https://u:***@host/" in text
    assert "no access with ***" in text
