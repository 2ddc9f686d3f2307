"""SubRip's cues, read by pysubs2, as text for people."""

from __future__ import annotations

import pysubs2

from qtforge_sdk import OperationError

__all__ = ["text_of"]

_ARROW = "-->"  # between the two times of a cue


def text_of(name: str, source: str, *, pause_s: float) -> str:
    """Return what is said: a line for each cue, a blank line at each long pause.

    Args:
        name: For the error.
        source: The file's text.
        pause_s: How long a pause is long, in seconds.

    Raises:
        OperationError: ``document.damaged``: there is no cue, or a cue's times can't be read.
    """
    try:
        subtitles = pysubs2.SSAFile.from_string(source, format_="srt")
    except (pysubs2.Pysubs2Error, ValueError, UserWarning) as error:
        # From 1.9 on it warns of what is looked for below; it is raised where warnings are errors.
        raise _damaged(name, str(error)) from error
    if not subtitles.events:
        raise _damaged(name, "it has no subtitle with times that can be read")
    # pysubs2 takes a cue whose times it can't read for text of the one before.
    broken = next((each.plaintext for each in subtitles if _ARROW in each.plaintext), None)
    if broken is not None:
        line = next(line for line in broken.splitlines() if _ARROW in line)
        raise _damaged(name, f"these times can't be read: {line.strip()}")
    subtitles.sort()
    paragraphs: list[list[str]] = [[]]
    end_ms = subtitles[0].start
    for cue in subtitles:
        if cue.start - end_ms >= pause_s * 1000 and paragraphs[-1]:
            paragraphs.append([])
        line = " ".join(cue.plaintext.split())
        if line:
            paragraphs[-1].append(line)
        end_ms = max(end_ms, cue.end)
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines)


def _damaged(name: str, why: str) -> OperationError:
    return OperationError(
        "document.damaged", f"{name} is not a whole SubRip file", why,
        "mend or convert it in a subtitle editor, or get another copy of it",
    )  # fmt: skip
