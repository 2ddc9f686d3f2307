"""Decide which plugins can start, given their requirements, and in which order.

A plugin is rejected when a plugin that it requires is missing, out of range or rejected, or
when they require each other. The others are sorted, requirements first; ``after`` adds to the
order where it makes no cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter

import msgspec

from qtforge_host.plugins.candidates import Candidate, Status
from qtforge_host.plugins.declarations import Declarations
from qtforge_host.plugins.requirements import applies, satisfies

__all__ = ["DependencyOrder", "resolve_dependencies"]


class DependencyOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `resolve_dependencies`.

    Attributes:
        order: The keys of the plugins that can start, requirements first.
        needs: Key of each of them to the keys of those that start before it.
        rejected: Key to status of all others, including those rejected before.
    """

    order: tuple[str, ...]
    needs: Mapping[str, Sequence[str]]
    rejected: Mapping[str, Status]


def resolve_dependencies(
    plugins: Sequence[Candidate],
    *,
    rejected: Mapping[str, Status],
    declarations: Mapping[str, Declarations],
    providers: Mapping[str, Sequence[str]],
) -> DependencyOrder:
    """Reject plugins that can't start, and sort the others.

    Args:
        plugins: Every candidate of the plugin group.
        rejected: Key to status of plugins that were rejected for other reasons.
        declarations: Key to declarations; a plugin that is not in it declares nothing.
        providers: Key to the other plugin distributions that its distribution requires.
    """
    solver = _Solver(plugins, rejected, declarations, providers)
    solver.reject_unmet()
    solver.reject_cycles()
    solver.spread_rejections()
    needs = solver.needs()
    return DependencyOrder(order=_sorted(needs), needs=needs, rejected=solver.rejected)


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
        self._edges: dict[str, list[str]] = {}  # plugin to the plugins that it requires
        self._skipped_for: dict[str, str] = {}  # plugin to the rejected one it was skipped for

    def reject_unmet(self) -> None:
        """Reject plugins with requirements that are malformed, missing or out of range."""
        for key in self._plugins:
            if key in self.rejected:
                continue
            status = self._connect(key)
            if status is not None:
                self.rejected[key] = status

    def reject_cycles(self) -> None:
        """Reject every plugin that requires itself, directly or through others."""
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
        """Reject plugins that require a rejected one, until nothing changes."""
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

    def needs(self) -> dict[str, list[str]]:
        """Return the remaining keys, each with those of the plugins that start before it."""
        edges: dict[str, list[str]] = {
            key: list(self._edges.get(key, ()))
            for key in sorted(self._plugins)
            if key not in self.rejected
        }
        for key in edges:
            for other in self._soft_edges(key):
                # It is ignored where it contradicts a requirement or an earlier ``after``.
                if other in edges and other != key and not _reaches(edges, other, key):
                    edges[key].append(other)
        return edges

    def _connect(self, key: str) -> Status | None:
        """Resolve a plugin's requirements to other plugins; return a status when one can't be."""
        declared = self._declarations.get(key, Declarations())
        if declared.problem:
            return _invalid(declared.problem, self._plugins[key], "")
        edges = self._edges.setdefault(key, [])
        if not declared.requires:
            return None
        from packaging.requirements import InvalidRequirement, Requirement  # slow to import

        for text in declared.requires:
            try:
                requirement = Requirement(text)
                is_wanted = applies(requirement)
            except InvalidRequirement as error:
                reason = f"requires '{text}': {str(error).splitlines()[0]}"
                return _invalid(reason, self._plugins[key])
            if not is_wanted:
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
        path = f" ({' → '.join([self._plugins[key].name, *names])})" if len(names) > 1 else ""
        state = self.rejected[chain[0]].state
        state_text = "in conflict" if state == "conflict" else state
        return Status(
            state="unmet",
            code="plugin.unmet",
            reason=f"skipped because {names[0]} is {state_text}{path}: {root.reason}",
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


def _sorted(edges: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the keys, requirements first, otherwise by key."""
    sorter = TopologicalSorter(edges)
    sorter.prepare()
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered.extend(ready)
        sorter.done(*ready)
    return tuple(ordered)


def _path(edges: Mapping[str, Sequence[str]], starts: Sequence[str], end: str) -> list[str] | None:
    """Return a shortest path from one of the starts to the end, both included, or None."""
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


def _invalid(
    reason: str, plugin: Candidate, hint: str = "; a requirement is 'name >= 1.0'"
) -> Status:
    return Status(
        state="broken",
        code="plugin.invalid_requirement",
        reason=reason,
        fix=f"tell the author of {plugin.distribution}{hint}",
    )
