"""Importing plugins: a fault of one plugin does not affect the others."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from qtforge_host.plugins.candidates import Status
from qtforge_host.plugins.discovery import scan
from qtforge_host.plugins.load_outcome import LoadOutcome
from qtforge_host.plugins.loading import PluginLoader
from qtforge_sdk import Plugin

if TYPE_CHECKING:
    from tests.host.conftest import Site

GOOD = "from qtforge_sdk import Plugin\nclass Example(Plugin):\n    pass\n"


def _load(site: Site, *, timeout_s: float = 10.0, construct: bool = True) -> LoadOutcome:
    candidates = [one for one in scan(site.path).candidates if one.problem is None]
    return PluginLoader().load(candidates, import_timeout_s=timeout_s, construct=construct)


def _failure(site: Site, source: str, *, timeout_s: float = 10.0) -> Status:
    """Load a bad plugin between two good ones, and return why it failed."""
    site.plugin("alpha", source=GOOD)
    site.plugin("bad", source=source)
    site.plugin("zeta", source=GOOD)

    outcome = _load(site, timeout_s=timeout_s)

    assert [loaded.candidate.name for loaded in outcome.loaded] == ["alpha", "zeta"]
    assert list(outcome.failed) == ["bad:bad"]
    status = outcome.failed["bad:bad"]
    assert status.state == "broken"
    assert status.fix
    return status


def test_a_loaded_plugin_is_an_instance_with_its_declarations(importable: Site) -> None:
    importable.plugin("acme", plugins=["store >= 1"])

    ((candidate, plugin_class, plugin, declarations),) = _load(importable).loaded

    assert candidate.name == "acme"
    assert isinstance(plugin, Plugin)
    assert type(plugin) is plugin_class
    assert declarations.requires == ("store >= 1",)


def test_a_class_can_be_loaded_without_making_it(importable: Site) -> None:
    importable.plugin(
        "swarm",
        group="qtforge.orchestrators",
        source="class Example:\n    def __init__(self):\n        raise SystemExit\n",
    )

    (loaded,) = _load(importable, construct=False).loaded

    assert loaded.plugin is None
    assert loaded.plugin_class.__name__ == "Example"


@pytest.mark.parametrize(
    ("source", "is_one"),
    [
        ("def Example(settings):\n    raise SystemExit\n", True),
        ("class Example:\n    pass\n", True),
        ("Example = 3\n", False),
    ],
)
def test_a_journal_is_made_by_a_function_or_a_class(
    importable: Site, source: str, is_one: bool
) -> None:
    importable.plugin("store", group="qtforge.journals", source=source)
    outcome = _load(importable, construct=False)
    assert bool(outcome.loaded) is is_one
    assert bool(outcome.failed) is not is_one


def test_candidates_of_several_groups_are_loaded_in_the_order_given(importable: Site) -> None:
    importable.plugin("b", source=GOOD)
    importable.plugin("a", source=GOOD)
    importable.plugin("c", source=GOOD, group="qtforge.orchestrators")
    candidates = sorted(scan(importable.path).candidates, key=lambda one: one.name, reverse=True)

    outcome = PluginLoader().load(candidates, import_timeout_s=60)

    assert [loaded.candidate.name for loaded in outcome.loaded] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("raise ImportError('no engine')", "ImportError: no engine"),
        ("raise SystemExit('going')", "SystemExit: going"),
        ("raise AssertionError('never')", "AssertionError: never"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise BaseException('odd')", "BaseException: odd"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("undefined_name", "NameError"),
    ],
)
def test_an_exception_at_import_is_reported_with_type_file_and_line(
    importable: Site, statement: str, words: str
) -> None:
    status = _failure(importable, f"import os\n\n{statement}\n")

    assert status.code == "plugin.import_failed"
    assert words in status.reason
    assert "bad_module.py:3" in status.reason


def test_a_syntax_error_names_its_line(importable: Site) -> None:
    status = _failure(importable, "x = 1\ndef (:\n")

    assert "SyntaxError" in status.reason
    assert "bad_module.py:2" in status.reason


def test_an_exception_whose_text_raises_is_survived(importable: Site) -> None:
    status = _failure(
        importable,
        "class Odd(Exception):\n    def __str__(self):\n        raise RuntimeError\nraise Odd\n",
    )

    assert "Odd" in status.reason


def test_a_missing_library_gets_its_pip_line(importable: Site) -> None:
    status = _failure(importable, "import acme_engine_of_steam.boiler\n")

    assert status.fix == "pip install acme_engine_of_steam"


def test_a_missing_part_of_itself_gets_a_reinstall(importable: Site) -> None:
    status = _failure(importable, "import bad_module.lost_part\n")

    assert status.fix == "pip install --force-reinstall bad"


def test_a_missing_module_gets_a_reinstall(importable: Site) -> None:
    importable.distribution("torn", entry_points="[qtforge.plugins]\ntorn = torn_away:T\n")

    status = _load(importable).failed["torn:torn"]

    assert status.code == "plugin.import_failed"
    assert status.fix == "pip install --force-reinstall torn"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "no attribute 'Example'"),
        ("Example = 3\n", "it is of type int, not a class"),
        ("def Example():\n    pass\n", "it is of type function, not a class"),
        ("class Example:\n    pass\n", "no operation, subscriber or hook"),
    ],
)
def test_an_object_that_is_no_plugin_class_is_refused(
    importable: Site, source: str, words: str
) -> None:
    status = _failure(importable, source)

    assert status.code == "plugin.not_a_plugin"
    assert words in status.reason


def test_any_class_with_a_hook_is_a_plugin(importable: Site) -> None:
    importable.plugin(
        "acme",
        source="from qtforge_sdk import operation\n"
        "class Example:\n"
        "    @operation('greeting.make')\n"
        "    def make(self, request: dict) -> dict:\n"
        "        return request\n",
    )

    assert len(_load(importable).loaded) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def __init__(self, needed):\n        pass", "can't be made without arguments"),
        ("def __init__(self):\n        raise OSError('no port')", "OSError: no port"),
        ("def __init__(self):\n        raise SystemExit", "SystemExit"),
    ],
)
def test_a_class_that_can_not_be_made_is_broken(importable: Site, body: str, words: str) -> None:
    status = _failure(
        importable, f"from qtforge_sdk import Plugin\nclass Example(Plugin):\n    {body}\n"
    )

    assert status.code == "plugin.construct_failed"
    assert words in status.reason


@pytest.mark.parametrize("waiting", ["pass", "time.sleep(0.01)"])
def test_a_plugin_that_never_returns_costs_its_deadline_and_is_named_with_the_line(
    importable: Site, waiting: str
) -> None:
    before = set(threading.enumerate())

    status = _failure(importable, f"import time\n\nwhile True: {waiting}\n", timeout_s=0.5)

    assert status.code == "plugin.import_timeout"
    assert "did not end within 0.5 s (at" in status.reason
    assert "bad_module.py:3" in status.reason
    assert "import_timeout" in status.fix
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()  # it takes no more time, and prints nothing later


def test_a_plugin_that_never_returns_does_not_keep_the_process(site: Site) -> None:
    site.plugin("stuck", source="import time\nwhile True:\n    time.sleep(0.05)\n")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from qtforge_host.plugins.discovery import scan\n"
        "from qtforge_host.plugins.loading import PluginLoader\n"
        "outcome = PluginLoader().load(scan([sys.argv[1]]).candidates, import_timeout_s=0.3)\n"
        "print([status.code for status in outcome.failed.values()])\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program, str(site.root)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert ended.stdout == "['plugin.import_timeout']\n"


def test_what_a_plugin_prints_at_import_goes_to_stderr(
    importable: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    importable.plugin("loud", source=f"print('hello')\n{GOOD}")

    assert len(_load(importable).loaded) == 1

    written = capsys.readouterr()
    assert written.out == ""
    assert "hello" in written.err
