"""Which plugins can start given what they require of each other, and in which order.

A plugin is rejected when a requirement is missing, out of range, rejected itself, or part
of a cycle. What remains is closed under requirements and sorted so that a requirement
comes first; ``after`` orders too where that closes no cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter

import msgspec
from packaging.requirements import InvalidRequirement, Requirement

from qtforge_host.plugins.candidates import Candidate, Status
from qtforge_host.plugins.declarations import Declarations
from qtforge_host.plugins.requirements import satisfies

__all__ = ["Relations", "relate"]


class Relations(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome.

    Attributes:
        order: The keys of those that can start, requirements first.
        rejected: Key to status of all others, those rejected beforehand among them.
    """

    order: tuple[str, ...]
    rejected: Mapping[str, Status]


def relate(
    plugins: Sequence[Candidate],
    *,
    rejected: Mapping[str, Status],
    declarations: Mapping[str, Declarations],
    providers: Mapping[str, Sequence[str]],
) -> Relations:
    """Reject what can't start, and put the rest in order.

    Args:
        plugins: Every candidate of the plugin group.
        rejected: Key to status of those rejected for reasons of their own.
        declarations: Key to what the plugin declares; one not in it declares nothing.
        providers: Key to the other plugin distributions that its distribution requires.
    """
    solver = _Solver(plugins, rejected, declarations, providers)
    solver.reject_unmet()
    solver.reject_cycles()
    solver.spread_rejections()
    return Relations(order=solver.order(), rejected=solver.rejected)


class _Solver:
    def __init__(
        self,
        plugins: Sequence[Candidate],
        rejected: Mapping[str, Status],
        declarations: Mapping[str, Declarations],
        providers: Mapping[str, Sequence[str]],
    ) -> None:
        self.rejected = dict(rejected)
        self._plugins = {plugin.key: plugin for plugin in plugins}
        self._declarations = declarations
        self._providers = providers
        self._by_name: dict[str, str] = {}
        self._by_distribution: dict[str, list[str]] = {}
        for key in sorted(self._plugins, key=lambda key: (key in self.rejected, key)):
            plugin = self._plugins[key]
            self._by_name.setdefault(plugin.name, key)
            self._by_distribution.setdefault(plugin.distribution, []).append(key)
        self._edges: dict[str, list[str]] = {}  # plugin to what it requires, hard
        self._skipped_for: dict[str, str] = {}  # plugin to the rejected one it was skipped for

    def reject_unmet(self) -> None:
        """Reject those whose requirements are malformed, missing or out of range."""
        for key in self._plugins:
            if key in self.rejected:
                continue
            status = self._connect(key)
            if status is not None:
                self.rejected[key] = status

    def reject_cycles(self) -> None:
        """Reject every plugin that requires itself, through whatever others."""
        edges = {
            key: [other for other in self._edges.get(key, ()) if other not in self.rejected]
            for key in self._plugins
            if key not in self.rejected
        }
        for key in edges:
            path = _path(edges, edges[key], key)
            if path is not None:
                self.rejected[key] = self._cycle_status([key, *path[:-1]])

    def spread_rejections(self) -> None:
        """Reject those that require a rejected one, until nothing changes."""
        changed = True
        while changed:
            changed = False
            for key in self._plugins:
                if key in self.rejected:
                    continue
                cause = self._rejected_requirement(key)
                if cause is not None:
                    self._skipped_for[key] = cause
                    self.rejected[key] = self._skipped_status(key)
                    changed = True

    def order(self) -> tuple[str, ...]:
        """Return the keys that remain, requirements first, else by key."""
        edges: dict[str, list[str]] = {
            key: list(self._edges.get(key, ()))
            for key in sorted(self._plugins)
            if key not in self.rejected
        }
        for key in edges:
            for other in self._soft_edges(key):
                # A wish; it is dropped where it contradicts a requirement or an earlier wish.
                if other in edges and other != key and not _reaches(edges, other, key):
                    edges[key].append(other)
        sorter = TopologicalSorter(edges)
        sorter.prepare()
        ordered: list[str] = []
        while sorter.is_active():
            ready = sorted(sorter.get_ready())
            ordered.extend(ready)
            sorter.done(*ready)
        return tuple(ordered)

    def _connect(self, key: str) -> Status | None:
        """Resolve a plugin's requirements to other plugins, or say why one can't be."""
        declared = self._declarations.get(key, Declarations())
        if declared.problem:
            return _invalid(declared.problem, self._plugins[key])
        edges = self._edges.setdefault(key, [])
        for text in declared.requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement as error:
                reason = f"requires '{text}': {str(error).splitlines()[0]}"
                return _invalid(reason, self._plugins[key])
            if requirement.marker is not None and not requirement.marker.evaluate():
                continue
            other = self._by_name.get(requirement.name)
            wanted = f"{requirement.name}{requirement.specifier}"
            if other is None:
                return Status(
                    state="unmet",
                    code="plugin.unmet",
                    reason=f"it requires the plugin {wanted}, which is not installed",
                    fix="install the distribution that provides it, such as"
                    f" pip install '{wanted}'",
                )
            found = self._plugins[other]
            if other not in self.rejected and not satisfies(found.version, requirement):
                wanted_there = f"{found.distribution}{requirement.specifier}"
                return Status(
                    state="unmet",
                    code="plugin.unmet",
                    reason=f"it requires the plugin {wanted}; {found.version} is installed",
                    fix=f"pip install '{wanted_there}'",
                )
            edges.append(other)
        return None

    def _rejected_requirement(self, key: str) -> str | None:
        for other in self._edges.get(key, ()):
            if other in self.rejected:
                return other
        for distribution in self._providers.get(key, ()):
            provided = self._by_distribution.get(distribution, [])
            if provided and all(other in self.rejected for other in provided):
                return provided[0]
        return None

    def _soft_edges(self, key: str) -> Iterable[str]:
        for name in self._declarations.get(key, Declarations()).after:
            if name in self._by_name:
                yield self._by_name[name]
        for distribution in self._providers.get(key, ()):
            yield from self._by_distribution.get(distribution, ())

    def _skipped_status(self, key: str) -> Status:
        chain = [self._skipped_for[key]]
        while chain[-1] in self._skipped_for:
            chain.append(self._skipped_for[chain[-1]])
        root = self.rejected[chain[-1]]
        names = [self._plugins[other].name for other in chain]
        way = f" ({' → '.join([self._plugins[key].name, *names])})" if len(names) > 1 else ""
        state = self.rejected[chain[0]].state
        state_text = "in conflict" if state == "conflict" else state
        return Status(
            state="unmet",
            code="plugin.unmet",
            reason=f"skipped because {names[0]} is {state_text}{way}: {root.reason}",
            fix=root.fix,
        )

    def _cycle_status(self, cycle: list[str]) -> Status:
        start = cycle.index(min(cycle))
        first = self._plugins[cycle[start]]
        names = [self._plugins[key].name for key in [*cycle[start:], *cycle[:start]]]
        return Status(
            state="unmet",
            code="plugin.requirement_cycle",
            reason=f"plugins require each other: {' → '.join([*names, names[0]])}",
            fix=f"pip uninstall {first.distribution}, or tell its author",
        )


def _path(edges: Mapping[str, Sequence[str]], starts: Sequence[str], end: str) -> list[str] | None:
    """Return a shortest way from one of the starts to the end, both in it, or None."""
    came_from: dict[str, str | None] = dict.fromkeys(starts)
    waiting = list(came_from)
    for current in waiting:
        if current == end:
            path = [current]
            while (before := came_from[path[-1]]) is not None:
                path.append(before)
            return path[::-1]
        for other in edges.get(current, ()):
            if other not in came_from:
                came_from[other] = current
                waiting.append(other)
    return None


def _reaches(edges: Mapping[str, Sequence[str]], start: str, end: str) -> bool:
    return _path(edges, [start], end) is not None


def _invalid(reason: str, plugin: Candidate) -> Status:
    return Status(
        state="broken",
        code="plugin.invalid_requirement",
        reason=reason,
        fix=f"tell the author of {plugin.distribution}; a requirement is 'name >= 1.0'",
    )
