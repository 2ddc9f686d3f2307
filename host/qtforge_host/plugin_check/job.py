"""The job of one step of a check, and its result; both cross a process boundary as JSON."""

from __future__ import annotations

from typing import Literal

import msgspec

from qtforge_host.plugin_check.findings import Finding

__all__ = ["Answer", "Job", "Step", "Topic"]

Step = Literal["read", "import", "try"]


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic that a plugin's source names.

    Attributes:
        plugin: The plugin.
        version: Its version.
        how: ``request``, ``publish`` or ``subscribe``.
        topic: The topic or pattern.
        file: The file.
        line: The line.
    """

    plugin: str
    version: str
    how: str
    topic: str
    file: str
    line: int


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a check.

    Attributes:
        step: Which one.
        site: The folder into which a wheel was unpacked; "" for an installed plugin.
        name: The name of an installed plugin or distribution; "" for all in ``site``.
        config: The configuration file of the host; "" for the default.
        state_dir: An empty folder, which stands for the state directory.
        topics: What the first step has found, for the last one.
        commands: The host's own commands.
        skip: Keys of plugins of which an earlier step knows that they can't be used.
        exports: Files of exported runs; those of the target's code are replayed.
        kept: Files of exported runs that the project keeps; all are replayed.
    """

    step: Step
    site: str
    name: str
    config: str
    state_dir: str
    topics: list[Topic] = []
    commands: list[str] = []
    skip: list[str] = []
    exports: list[str] = []
    kept: list[str] = []


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a step has found.

    Attributes:
        findings: The findings.
        plugins: Name and version of each plugin of the target.
        topics: Topics that their sources name.
        operations: How many operations were tried.
        replayed: How many runs were replayed.
        keys: The key of each entry point of the target.
        unusable: The keys of those that the next step leaves out.
    """

    findings: list[Finding] = []
    plugins: list[str] = []
    topics: list[Topic] = []
    operations: int = 0
    replayed: int = 0
    keys: list[str] = []
    unusable: list[str] = []
