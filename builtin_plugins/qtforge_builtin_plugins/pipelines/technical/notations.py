"""Diagrams as text: their notation, kind, and numbers of nodes and edges.

Only Graphviz, Mermaid and PlantUML can parse their notations completely. So nodes and edges
are counted only if every line of a diagram has a simple form.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

__all__ = ["Counts", "Notation", "count", "kind_of", "notation_of", "title_of"]

Notation = Literal["mermaid", "plantuml", "graphviz"]

_MOST_COUNTED: Final = 2_000  # lines
_NOTATIONS: Final[Mapping[str, Notation]] = MappingProxyType(
    {"mermaid": "mermaid", "mmd": "mermaid", "plantuml": "plantuml", "puml": "plantuml",
     "uml": "plantuml", "dot": "graphviz", "graphviz": "graphviz", "gv": "graphviz"}
)  # fmt: skip
_MERMAID_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {"flowchart": "flowchart", "graph": "flowchart", "sequencediagram": "sequence",
     "classdiagram": "class", "statediagram": "state", "erdiagram": "entity relationship",
     "journey": "journey", "gantt": "gantt", "pie": "pie", "quadrantchart": "quadrant",
     "requirementdiagram": "requirement", "gitgraph": "git", "mindmap": "mindmap",
     "timeline": "timeline", "sankey": "sankey", "xychart": "xy chart", "block": "block",
     "packet": "packet", "kanban": "kanban", "architecture": "architecture", "zenuml": "sequence",
     "c4context": "c4", "c4container": "c4", "c4component": "c4", "c4dynamic": "c4",
     "c4deployment": "c4", "radar": "radar", "treemap": "treemap"}
)  # fmt: skip
_MERMAID_FRONT: Final = re.compile(r"\A\s*---\s*\n(.{0,5000}?)\n\s*---\s*\n", re.S)
_MERMAID_WORD: Final = re.compile(r"([A-Za-z0-9]+?)(?:-beta|-v2|V2)?(?:[\s;:{]|$)")
_PLANTUML_START: Final = re.compile(r"^\s*@start(\w+)", re.MULTILINE)
_PLANTUML_KINDS: Final = tuple(
    (kind, re.compile(sign, re.MULTILINE))
    for kind, sign in (
        ("sequence", r"^\s*(?:participant|autonumber|activate|alt|loop)\b"),
        ("use case", r"^\s*usecase\b|^\s*\([^()\n]+\)\s*(?:as\b|<?[-.]+)"),
        (
            "class",
            r"^\s*(?:abstract\s+)?(?:class|interface|enum|annotation)\s|(?:<\||[*o])--|--\|>",
        ),
        ("state", r"^\s*(?:state\s|\[\*\])"),
        ("activity", r"^\s*(?:start|stop|:[^;\n]+;|if\s*\()"),
        ("component", r"^\s*(?:component|package|node|cloud|database|\[[^\]\n]+\])"),
        ("object", r"^\s*object\s"),
        ("sequence", r"^\s*(?:actor\b.*|\"?[\w ]+\"?\s*(?:-+>+|<+-+)\s*\"?[\w ]+\"?\s*:)"),
    )
)
_GRAPHVIZ_HEAD: Final = re.compile(
    r"\A\s*(?:strict\s+)?(?P<kind>digraph|graph)\b\s*(?:\"[^\"\n]*\"|[\w.-]+)?\s*\{(?P<body>.*)\}\s*\Z",
    re.S | re.IGNORECASE,
)
_TITLE: Final = re.compile(r"^\s*title[ :]\s*(.{1,200})$", re.MULTILINE)

# A Mermaid flowchart's line: nodes joined by links, `A[text] -->|yes| B & C`.
_SHAPE: Final = r"[\[({>/\\]{1,3}(?:\"[^\"\n]{0,300}\"|[^\[\](){}\"\n]{0,300})[\])}/\\]{1,3}"
_NODE: Final = re.compile(rf"\s*(?P<id>\w+(?:[-.]\w+)*)(?:{_SHAPE})?(?::::[\w-]+)?\s*")
_LINK: Final = re.compile(
    r"(?:<|[xo](?=[-=]))?"
    r"(?:(?:--|==|-\.)\s?[^-=.>|&\n]{1,200}\s?(?:-{2,}|={2,}|\.+-)[>xo]?"
    r"|(?:-{2,}|={2,}|-\.+-)[>xo]?)(?:\s*\|[^|\n]{0,300}\|)?"
)
_FLOW_ASIDE: Final = re.compile(
    r"(?:end|direction\s+\w+|(?:classDef|class|style|linkStyle|click|accTitle|accDescr)\b.*)$"
)
_SUBGRAPH: Final = re.compile(r"subgraph\b\s*(?P<id>[\w-]+)?")
_MESSAGE: Final = re.compile(
    r"(?P<from>[^-+<>:\n]{1,100}?)\s*(?:<<)?(?:--?>>?|--?x|--?\))\s*[+-]?\s*(?P<to>[^-+<>:\n]{1,100}?)\s*:"
)
_PARTICIPANT: Final = re.compile(
    r"(?:create\s+)?(?:participant|actor)\s+(?P<id>[^\n]{1,100}?)(?:\s+as\s.*)?$"
)
_SEQUENCE_ASIDE: Final = re.compile(
    r"(?:note|loop|alt|else|opt|par|and|end|activate|deactivate|autonumber|title|rect|box|break"
    r"|critical|option|destroy|links?|accTitle|accDescr)\b",
    re.IGNORECASE,
)
_DOT_ID: Final = r"(?:\"[^\"\n]{0,300}\"|[\w.]+)(?::\w+){0,2}"
_DOT_STATEMENT: Final = re.compile(
    rf"(?P<ids>{_DOT_ID}(?:\s*(?:->|--)\s*{_DOT_ID})*)\s*(?:\[[^\[\]{{}}]{{0,1000}}\])?"
)
_DOT_SETTING: Final = re.compile(
    r"(?:\w+\s*=\s*(?:\"[^\"\n]{0,300}\"|[\w.-]+)|(?:node|edge|graph)\s*\[[^\[\]]{0,1000}\])"
)


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of nodes and edges of a diagram."""

    nodes: int
    edges: int


def notation_of(language: str | None, text: str) -> Notation | None:
    """Return a block's notation; None when it is not a diagram."""
    if language is not None and language in _NOTATIONS:
        return _NOTATIONS[language]
    if _PLANTUML_START.match(text):
        return "plantuml"
    return None


def kind_of(notation: Notation, text: str) -> str | None:
    """Return a diagram's kind, such as ``flowchart``; None when it does not name one."""
    if notation == "mermaid":
        word = _MERMAID_WORD.match(next(_lines(_mermaid_body(text)), ""))
        return _MERMAID_KINDS.get(word[1].lower()) if word else None
    if notation == "graphviz":
        head = _GRAPHVIZ_HEAD.match(text)
        return (
            {"digraph": "directed graph", "graph": "graph"}[head["kind"].lower()] if head else None
        )
    start = _PLANTUML_START.search(text)
    if start and start[1].lower() != "uml":
        return start[1].lower()
    return next((kind for kind, sign in _PLANTUML_KINDS if sign.search(text)), None)


def title_of(notation: Notation, text: str) -> str | None:
    """Return a diagram's title, or None."""
    front = _MERMAID_FRONT.match(text) if notation == "mermaid" else None
    match = _TITLE.search(front[1] if front else text) if notation != "graphviz" else None
    return match[1].strip().strip("\"'") or None if match else None


def count(notation: Notation, kind: str | None, text: str) -> Counts | None:
    """Return nodes and edges; None if the diagram does not have a simple form.

    In a sequence diagram they are the participants and the messages.
    """
    if text.count("\n") > _MOST_COUNTED:
        return None
    if notation == "graphviz":
        return _count_graphviz(text)
    if notation == "mermaid" and kind == "flowchart":
        return _count_flowchart(text)
    if notation == "mermaid" and kind == "sequence":
        return _count_sequence(text)
    return None


def _mermaid_body(text: str) -> str:
    front = _MERMAID_FRONT.match(text)
    return text[front.end() :] if front else text


def _lines(text: str) -> Iterator[str]:
    """Yield a Mermaid diagram's lines without comments and directives."""
    for line in text.split("\n"):
        if line.strip() and not line.strip().startswith("%%"):
            yield line.strip()


def _count_flowchart(text: str) -> Counts | None:
    nodes: set[str] = set()
    groups: set[str] = set()
    edges = 0
    parts = (part.strip() for line in _lines(_mermaid_body(text)) for part in line.split(";"))
    statements = filter(None, parts)
    next(statements, None)  # its kind
    for statement in statements:
        if subgraph := _SUBGRAPH.match(statement):
            groups.add(subgraph["id"] or "")
        elif not _FLOW_ASIDE.match(statement):
            chain = _chain(statement)
            if chain is None:
                return None
            for here, there in itertools.pairwise(chain):
                edges += len(here) * len(there)
            nodes |= {node for group in chain for node in group}
    return None if nodes & groups else Counts(nodes=len(nodes), edges=edges)


def _chain(statement: str) -> list[list[str]] | None:
    """Return the groups of nodes joined by links; None when a part can't be parsed."""
    groups: list[list[str]] = [[]]
    at = 0
    while True:
        node = _NODE.match(statement, at)
        if node is None:
            return None
        groups[-1].append(node["id"])
        at = node.end()
        if at == len(statement):
            return groups
        if statement[at] == "&":
            at += 1
            continue
        link = _LINK.match(statement, at)
        if link is None:
            return None
        groups.append([])
        at = link.end()


def _count_sequence(text: str) -> Counts | None:
    participants: set[str] = set()
    messages = 0
    lines = _lines(_mermaid_body(text))
    next(lines, None)  # its kind
    for line in lines:
        if participant := _PARTICIPANT.match(line):
            participants.add(participant["id"].strip())
        elif _SEQUENCE_ASIDE.match(line):
            continue
        elif message := _MESSAGE.match(line):
            participants |= {message["from"].strip(), message["to"].strip()}
            messages += 1
        else:
            return None
    return Counts(nodes=len(participants), edges=messages)


def _count_graphviz(text: str) -> Counts | None:
    head = _GRAPHVIZ_HEAD.match(text)
    if head is None or any(sign in head["body"] for sign in ("{", "}", "/*", "//", "#", "<")):
        return None  # sub-graphs, comments and HTML labels
    nodes: set[str] = set()
    edges = 0
    for part in re.split(r"[;\n]", head["body"]):
        statement = part.strip()
        if not statement or _DOT_SETTING.fullmatch(statement):
            continue
        found = _DOT_STATEMENT.fullmatch(statement)
        if found is None:
            return None
        ids = [name.strip('"') for name in re.findall(_DOT_ID, found["ids"])]
        nodes |= {name.partition(":")[0] for name in ids}
        edges += len(ids) - 1
    return Counts(nodes=len(nodes), edges=edges)
