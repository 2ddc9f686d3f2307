"""Rebuild examples/documents/letter.docx: ``python examples/make_letter.py``.

It needs python-docx, which the ``documents`` extra brings. The people in it are invented.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from docx import Document

TARGET = Path(__file__).parent / "documents" / "letter.docx"
PARAGRAPHS = (
    "Tide House\n7 Marine Parade\nWhitby\n\n2 May 2026",
    "Dear Aunt Rosalind,",
    "Thank you so much for the parcel, which came on Thursday, and above all for the photographs."
    " We spread them on the kitchen table and the children guessed who was who. They were right"
    " about Grandfather every time, because of the hat.",
    "The garden has done wonderfully since you were here. The pear tree is in flower, the robin"
    " has come back, and the bench that you liked has been painted blue. Tom is proud of it, and"
    " tells everybody who walks past that he did it alone.",
    "We would love to have you with us again in the summer. The second week of July is quiet, and"
    " the little room over the harbour is free. If the trains are as slow as last year, we will"
    " gladly come and fetch you from York.",
    "Please give our love to Edwin, and tell him that the chess problem he sent took us three"
    " evenings. We are still not sure that we have solved it.",
    "With much love from all of us,\n\nHelena",
)


def main() -> None:
    """Write the file."""
    document = Document()
    document.core_properties.title = "A letter from Whitby"
    document.core_properties.author = "Helena Marsh"
    document.core_properties.created = datetime.datetime(2026, 5, 2, 18, 0, tzinfo=datetime.UTC)
    document.core_properties.comments = ""
    for paragraph in PARAGRAPHS:
        document.add_paragraph(paragraph)
    document.save(str(TARGET))


if __name__ == "__main__":
    main()
