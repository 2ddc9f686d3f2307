"""The plugin: one operation that is asked for ``.srt`` files only."""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

import msgspec

from qtforge_sample_subtitles.content import decode, read
from qtforge_sample_subtitles.cues import text_of
from qtforge_sdk import OperationContext, Plugin, operation
from qtforge_sdk.durations import Duration, check_duration, wait_seconds
from qtforge_sdk.messages import (
    DocumentMetadata,
    ParseOptions,
    ParseRequest,
    ParseResponse,
)

__all__ = ["MEDIA_TYPE", "SubtitleConfig", "SubtitleParser"]

MEDIA_TYPE: Final = "application/x-subrip"  # as in the shared MIME-info database


class SubtitleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plugin's configuration table.

    Attributes:
        max_bytes: Refuse larger files, in bytes; a feature film's subtitles have 0.1 MiB.
        pause: How long a silence is that ends a paragraph.
    """

    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 8 * 1024 * 1024
    pause: Duration = "2s"

    def __post_init__(self) -> None:
        """Check the time; msgspec reports the error with the table's path."""
        check_duration(self, "pause")


class SubtitleParser(Plugin):
    """Answers ``document.parse`` for SubRip files."""

    Config = SubtitleConfig
    config: SubtitleConfig = SubtitleConfig()

    # A plain `def`: the host runs it in a thread, so reading the file holds up nobody.
    # `tryfirst`, because a parser of any text would take subtitles, too.
    @operation(
        "document.parse",
        accepts="message.document.name.matches('(?i)[.]srt$')",
        tryfirst=True,
    )
    def parse(self, request: ParseRequest, context: OperationContext) -> ParseResponse:
        """Return the words that are spoken, and the file's metadata.

        Raises:
            OperationError: What `content.read`, `content.decode` and `cues.text_of` raise.
        """
        document = request.document
        options = request.options or ParseOptions()
        max_bytes = self.config.max_bytes if options.max_bytes is None else options.max_bytes
        data = read(document, max_bytes)
        source, encoding = decode(document.name, data, options.encoding)
        text = text_of(document.name, source, pause_s=wait_seconds(self.config.pause))
        context.logger.debug("%s: %d characters", document.name, len(text))
        return ParseResponse(
            parsed_content=text,
            metadata=DocumentMetadata(
                name=document.name,
                media_type=MEDIA_TYPE,
                size_bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                words=len(text.split()),
                encoding=encoding,
            ),
        )
