"""Write the accuracy set: ``python -m tests.corpus [FOLDER] [--only TEXT]``."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from itertools import chain
from pathlib import Path

import msgspec
from tests.corpus import plan, second, written_plan
from tests.corpus.tools import convert_office, print_pages

TARGET = Path(__file__).parents[1] / "data" / "documents"
PARTS = ("open", "second", "third", *written_plan.FOLDERS)


def write(target: Path, only: str = "") -> int:
    """Write documents and their answers.

    Args:
        target: The folder, in which a folder is made for each tranche; they are emptied first
            unless only some documents are written.
        only: Write documents whose name has this text, and leave the others.

    Returns:
        How many documents were written.
    """
    planned = {
        Path(document.answer.document).stem: document
        for document in chain(plan.documents(), second.documents(), written_plan.documents())
    }
    planned = {name: document for name, document in planned.items() if only in name}
    tagged: dict[str, bytes] = {}
    untagged: dict[str, bytes] = {}
    office: dict[str, tuple[str, bytes]] = {}
    for name, document in planned.items():
        if document.draft.tool == "chromium":
            pages = tagged if document.folder in {"open", "third"} else untagged
            pages[name] = document.draft.content
        elif document.draft.tool == "libreoffice":
            office[name] = (document.draft.suffix, document.draft.content)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = print_pages(tagged, folder) | convert_office(office, folder)
        files |= print_pages(untagged, folder, tagged=False)
    for part in PARTS:
        if not only:
            shutil.rmtree(target / part, ignore_errors=True)
        (target / part).mkdir(parents=True, exist_ok=True)
    for name, document in planned.items():
        folder = target / document.folder
        content = files.get(name, document.draft.content)
        (folder / document.answer.document).write_bytes(content)
        answer = msgspec.json.format(msgspec.json.encode(document.answer), indent=1)
        (folder / f"{name}.json").write_bytes(answer + b"\n")
    return len(planned)


def main() -> None:
    """Read the command line and write the set."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus")
    parser.add_argument("folder", nargs="?", type=Path, default=TARGET)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="documents with TEXT in the name"
    )
    arguments = parser.parse_args()
    print(f"{write(arguments.folder, arguments.only)} documents")


if __name__ == "__main__":
    main()
