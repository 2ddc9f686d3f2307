"""SubRip subtitles for ``document.parse``."""

from qtforge_sample_subtitles.plugin import SubtitleConfig, SubtitleParser

__all__ = ["SubtitleConfig", "SubtitleParser"]
