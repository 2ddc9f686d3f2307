"""One file in ``workflows/`` or one contribution that is wrong costs only itself."""

from __future__ import annotations

import os
from pathlib import Path

from tests.serving import Serving

HEAD = 'name = "bad-{name}"\nkind = "sequential"\nversion = "1.0.0"\n'
STAGE = '\n[[stages]]\nname = "only"\noperation = "steps.note"\n'

TEXTS = {
    "jitter": HEAD + STAGE + "retry = { jitter = 5.0 }\n",
    "rate": HEAD + STAGE + 'timeout = "10 per s"\n',
    "nested-arrays": "x = " + "[" * 5000 + "]" * 5000,
    "nested-tables": "x = " + "{ a = " * 5000 + "1" + " }" * 5000,
    "dotted": HEAD + "input." + "a." * 3000 + "b = 1\n" + STAGE,
    "nested-below-the-parser": HEAD + "input.x = " + "[" * 150 + "]" * 150 + STAGE + "nope = 1\n",
    "digits": HEAD + "timeout = " + "9" * 5000 + STAGE,
    "infinite": HEAD + "timeout = inf" + STAGE,
    "date": HEAD.replace('"bad-{name}"', "2026-01-01") + STAGE,
    "no-date": "name = 2026-99-99\n",
    "list": 'name = ["a"]\nkind = ["b"]\n',
    "kind": HEAD.replace("sequential", "none"),
    "empty": "",
    "null": "\0",
    "escape": 'name = "\\u001b[2J"\nkind = "none"\n',
    "expression": HEAD + STAGE + 'when = "' + "(" * 900 + "1" + ")" * 900 + '"\n',
    "template": HEAD + STAGE + 'message = { a = "${' + "a." * 5000 + '}" }\n',
    "not-toml": "name = ",
}


def _write(folder: Path) -> set[str]:
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / f"{name}.toml").write_text(text.replace("{name}", name))
    (folder / "latin.toml").write_bytes(b'name = "\xe9"\n')
    (folder / "directory.toml").mkdir()
    (folder / "dangling.toml").symlink_to(folder / "nothing")
    (folder / "loop.toml").symlink_to(folder / "loop.toml")
    (folder / "large.toml").write_bytes(b"#" * (5 << 20))
    os.mkfifo(folder / "pipe.toml")
    return {path.name for path in folder.glob("*.toml")}


def test_a_bad_file_is_one_problem_and_stops_nothing(serving: Serving) -> None:
    names = _write(serving.folder / "workflows")
    (serving.folder / "workflows" / os.fsdecode(b"name\xff.toml")).write_text("name = ")

    listed = serving.json("workflows", "list", "--json")
    sources = {Path(each["source"]).name: each for each in listed["workflows"]}
    for name in names:
        assert sources[name]["state"] != "ready", name
        assert sources[name]["problems"], name
    assert "name\\xff.toml" in sources

    done = serving.cli("run", "quick", "--set", "word=a")
    assert done.returncode == 0, done.stderr
    server = serving.serve()
    assert server.start("quick", wait="60s", word="b")["status"] == "succeeded"
    assert server.end() == 0


CONTRIBUTES = '''
from pathlib import Path

from qtforge_sdk import Plugin, hookimpl

TEXT = """
name = "{name}"
kind = "sequential"
version = "1.0.0"

[[stages]]
name = "only"
operation = "steps.note"
message = { text = "mine" }
"""


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [TEXT.replace("{name}", "data-aggregation"), Path("beside.toml")]
'''


def test_a_workflow_with_the_name_of_a_built_in_is_refused_alone(serving: Serving) -> None:
    serving.site.plugin("contributes", source=CONTRIBUTES)
    text = CONTRIBUTES.partition('"""')[2].partition('"""')[0].replace("{name}", "beside")
    (serving.site.root / "beside.toml").write_text(text)
    listed = serving.json("workflows", "list", "--json")["workflows"]
    found = [each for each in listed if each["name"] == "data-aggregation"]
    (builtin,) = [each for each in found if each["state"] == "ready"]
    (refused,) = [each for each in found if each["state"] != "ready"]
    assert builtin["source"].endswith(".toml")
    assert "contributes 1.0.0" in str(refused["problems"])
    # The path of a definition begins at the folder of the plugin's module.
    done = serving.cli("run", "beside")
    assert done.returncode == 0, done.stderr
