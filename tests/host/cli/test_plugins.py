"""``qtforge-host plugins``: every way in which a plugin can be wrong, as a user sees it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOOD = """
from qtforge_sdk import Plugin, operation


class Example(Plugin):
    @operation("good.ask")
    async def ask(self, message: object) -> str:
        return "good"
"""

BROKEN = {
    "raises-import-error": ("import nosuch_module_at_all", "ModuleNotFoundError"),
    "raises-system-exit": ("import sys\nsys.exit(3)", "SystemExit"),
    "raises-assertion": ("assert False, 'of its own'", "AssertionError: of its own"),
    "divides-by-zero": ("1 / 0", "ZeroDivisionError"),
    "has-no-class": ("x = 1", "Example"),
    "cannot-be-made": (
        "from qtforge_sdk import Plugin\n\n\nclass Example(Plugin):\n"
        "    def __init__(self, needed):\n        pass\n",
        "without arguments",
    ),
    "start-fails": (
        "from qtforge_sdk import Plugin\n\n\nclass Example(Plugin):\n"
        "    async def start(self, context):\n        raise OSError('no disk')\n",
        "its start raised OSError: no disk",
    ),
    "prints-at-import": ("print('noise on stdout')\nraise ImportError('noisy')", "noisy"),
}


def row(said: Any, name: str) -> dict[str, Any]:
    (found,) = [each for each in said.json["plugins"] if each["name"] == name]
    return dict(found)


@pytest.fixture
def good(site: Any) -> Any:
    site.plugin("good", source=GOOD)
    return site


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_and_the_rest_works(cli: Any, good: Any, name: str) -> None:
    source, reason = BROKEN[name]
    good.plugin(name, source=source)
    checked = cli("plugins", "check", "--json", path=good.root)
    assert checked.code == 1
    assert row(checked, "good")["state"] == "active"
    broken = row(checked, name)
    assert broken["state"] == "broken"
    assert reason in broken["reason"]
    assert broken["fix"]
    # The listing imports nothing, and still knows: the failure is remembered.
    listed = cli("plugins", "list", "--json", path=good.root)
    assert (listed.code, row(listed, name)["state"]) == (0, "broken")
    assert reason in row(listed, name)["reason"]
    asked = cli("bus", "request", "good.ask", path=good.root)
    assert (asked.code, asked.out.strip()) == (0, '"good"')


def test_an_import_that_never_returns_is_given_up_and_the_rest_works(
    cli: Any, good: Any, tmp_path: Path
) -> None:
    good.plugin("endless", source="import time\nwhile True:\n    time.sleep(0.05)\n")
    config = tmp_path / "config.toml"
    config.write_text('[host]\nimport_timeout = "300ms"\n')
    checked = cli("--config", config, "plugins", "check", "--json", path=good.root)
    assert row(checked, "endless")["code"] == "plugin.import_timeout"
    assert row(checked, "good")["state"] == "active"
    assert "import_timeout" in row(checked, "endless")["fix"]


def test_a_plugin_that_keeps_failing_is_quarantined_until_it_is_enabled(
    cli: Any, good: Any
) -> None:
    good.plugin("failing", source="1 / 0")
    for _ in range(3):
        cli("plugins", "check", path=good.root)
    listed = cli("plugins", "list", "--json", path=good.root)
    failing = row(listed, "failing")
    assert failing["state"] == "quarantined"
    assert failing["fix"] == "qtforge-host plugins enable failing"
    assert cli(*failing["fix"].split()[1:], path=good.root).code == 0
    assert row(cli("plugins", "list", "--json", path=good.root), "failing")["state"] == "ready"


def test_a_malformed_entry_points_file_costs_only_its_own_distribution(cli: Any, good: Any) -> None:
    good.distribution("unrelated", entry_points="[console_scripts\nthis is = = not\n\x00\n")
    listed = cli("plugins", "list", "--json", path=good.root)
    assert (listed.code, row(listed, "good")["state"]) == (0, "ready")


def test_a_distribution_without_metadata_is_named(cli: Any, good: Any) -> None:
    good.distribution(
        "headless", metadata=None, entry_points="[qtforge.plugins]\nheadless = m:Example\n"
    )
    listed = cli("plugins", "list", "--json", path=good.root)
    headless = row(listed, "headless")
    assert headless["state"] == "broken"
    assert "METADATA" in headless["reason"]
    assert row(listed, "good")["state"] == "ready"


def test_two_distributions_of_one_name_conflict_until_one_is_preferred(cli: Any, good: Any) -> None:
    good.plugin("twice", "1.0", distribution="first-of-two", source=GOOD.replace("good.", "one."))
    good.plugin("twice", "2.0", distribution="second-of-two", source=GOOD.replace("good.", "two."))
    listed = cli("plugins", "list", path=good.root)
    assert listed.out.count("conflict") >= 2
    lines = [line for line in listed.out.splitlines() if "-of-two" in line and "twice" in line]
    assert "first-of-two" in lines[0]
    assert "second-of-two" in lines[1]  # next to each other, and told apart
    wrong = cli("plugins", "prefer", "twice", "third", path=good.root)
    assert (wrong.code, "first-of-two, second-of-two" in wrong.err) == (3, True)
    assert cli("plugins", "prefer", "twice", "Second_Of-Two", path=good.root).code == 0
    rows = cli("plugins", "list", "--json", path=good.root).json["plugins"]
    states = {each["distribution"]: each["state"] for each in rows if each["name"] == "twice"}
    assert states == {"first-of-two": "disabled", "second-of-two": "ready"}
    assert cli("bus", "request", "two.ask", path=good.root).code == 0
    assert cli("bus", "request", "one.ask", path=good.root).code == 1


def test_a_cycle_and_a_chain_name_where_they_begin(cli: Any, good: Any) -> None:
    good.plugin("egg", plugins=("hen >= 1.0",))
    good.plugin("hen", plugins=("egg >= 1.0",))
    good.plugin("third", plugins=("second >= 1.0",))
    good.plugin("second", plugins=("first >= 2.0",))
    good.plugin("first", "1.0")
    listed = cli("plugins", "list", "--json", path=good.root)
    assert row(listed, "egg")["code"] == row(listed, "hen")["code"] == "plugin.requirement_cycle"
    assert row(listed, "first")["state"] == "ready"
    assert row(listed, "second")["state"] == "unmet"
    assert "first" in row(listed, "second")["reason"]
    assert "second is unmet" in row(listed, "third")["reason"]
    assert row(listed, "third")["fix"] == row(listed, "second")["fix"] != ""


def test_a_prerelease_satisfies_a_lower_bound(cli: Any, good: Any) -> None:
    good.plugin("needs", plugins=("early >= 1.0",))
    good.plugin("early", "2.0rc1")
    listed = cli("plugins", "list", "--json", path=good.root)
    assert row(listed, "needs")["state"] == "ready"


def test_a_plugin_for_a_later_sdk_is_incompatible(cli: Any, good: Any) -> None:
    good.plugin("future", requires=("qtforge-sdk>=2",))
    listed = cli("plugins", "list", path=good.root)
    assert "incompatible  future" in listed.out
    assert "qtforge-sdk" in listed.out


def test_an_entry_point_that_is_added_seconds_later_is_found(cli: Any, good: Any) -> None:
    folder = good.distribution("grows", entry_points="[qtforge.plugins]\n")
    before = cli("plugins", "list", "--json", path=good.root)
    assert "later" not in [each["name"] for each in before.json["plugins"]]
    (folder / "entry_points.txt").write_text("[qtforge.plugins]\nlater = good_module:Example\n")
    assert row(cli("plugins", "list", "--json", path=good.root), "later")["state"] == "ready"


@pytest.mark.parametrize("words", [("plugins", "list"), ("plugins", "check"), ("bus", "topics")])
def test_a_home_that_cannot_be_written_or_read_stops_nothing(
    cli: Any, good: Any, words: tuple[str, ...], tmp_path: Path
) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    good.plugin("failing", source="1 / 0")
    said = cli(*words, path=good.root, HOME=str(blocked / "home"))
    assert "good" in said.out
    assert said.code == (1 if words == ("plugins", "check") else 0)


def test_disable_and_enable_are_written_beside_the_configuration_and_comments_stay(
    cli: Any, good: Any, tmp_path: Path
) -> None:
    config = tmp_path / "my.toml"
    config.write_text("# mine\n[host]\nquarantine_after = 5\n")
    options = ("--config", config)
    assert cli(*options, "plugins", "disable", "good", path=good.root).code == 0
    listed = cli(*options, "plugins", "list", "--json", path=good.root)
    assert row(listed, "good")["state"] == "disabled"
    assert row(listed, "good")["fix"] == "qtforge-host plugins enable good"
    assert cli(*options, "plugins", "enable", "good", path=good.root).code == 0
    schema = json.loads((tmp_path / "my.schema.json").read_text())
    assert "good" in schema["properties"]["plugins"]["properties"]  # it was read after the change
    assert (
        row(cli(*options, "plugins", "list", "--json", path=good.root), "good")["state"] == "ready"
    )
    assert config.read_text().startswith("# mine\n")
    assert (tmp_path / "my.plugins.toml").exists()


def test_an_unknown_plugin_gets_the_nearest_name_and_exit_code_3(cli: Any, good: Any) -> None:
    for command in ("info", "enable", "disable"):
        said = cli("plugins", command, "goood", path=good.root)
        assert (said.code, said.out) == (3, "")
        assert "there is no plugin 'goood'" in said.err
        assert "did you mean 'good'?" in said.err


def test_info_shows_where_a_plugin_is_from(cli: Any, good: Any) -> None:
    said = cli("plugins", "info", "good", "--json", path=good.root).json
    assert said["location"] == str(good.root)
    assert said["entry_point"] == "good_module:Example"
    assert said["requires"] == ["qtforge-sdk>=1.0,<2"]


def test_safe_mode_starts_with_the_built_ins_alone(cli: Any, good: Any) -> None:
    listed = cli("--safe-mode", "plugins", "list", "--json", path=good.root)
    states: dict[bool, set[str]] = {each["builtin"]: set() for each in listed.json["plugins"]}
    for each in listed.json["plugins"]:
        states[each["builtin"]].add(each["state"])
    assert states[False] == {"disabled"}
    assert "disabled" not in states[True]
    assert cli("--safe-mode", "bus", "request", "good.ask", path=good.root).code == 1


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ('config = { size = "big" }', "plugins.sized.config.size: expected"),
        ("config = { sise = 3 }", "did you mean"),
    ],
)
def test_a_wrong_configuration_breaks_its_plugin_alone(
    cli: Any, good: Any, tmp_path: Path, written: str, reason: str
) -> None:
    good.plugin(
        "sized",
        source="import msgspec\nfrom qtforge_sdk import Plugin\n\n\n"
        "class Settings(msgspec.Struct, forbid_unknown_fields=True):\n    size: int = 1\n\n\n"
        "class Example(Plugin):\n    Config = Settings\n",
    )
    config = tmp_path / "config.toml"
    config.write_text(f"[plugins.sized]\n{written}\n")
    checked = cli("--config", config, "plugins", "check", "--json", path=good.root)
    sized = row(checked, "sized")
    assert (sized["state"], sized["code"]) == ("broken", "plugin.invalid_config")
    assert reason.lower() in f"{sized['reason']} {sized['fix']}".lower()
    assert str(config) in sized["reason"]
    assert row(checked, "good")["state"] == "active"


def test_a_name_with_control_characters_cannot_steer_the_terminal(
    cli: Any, good: Any, site: Callable[..., Any]
) -> None:
    good.distribution(
        "evil", entry_points="[qtforge.plugins]\nev\x1b[31mil = good_module:Example\n"
    )
    assert "\x1b" not in cli("plugins", "list", path=good.root).out


def test_the_interpreters_own_environment_is_what_is_scanned(cli: Any) -> None:
    listed = cli("plugins", "list", "--json")
    assert "document-storage" in [each["name"] for each in listed.json["plugins"]], sys.prefix
