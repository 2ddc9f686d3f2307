"""Documents of W3C SCXML as definitions of machines, as far as these can say the same.

Expressions of the documents (ECMAScript or Python, by their ``datamodel``) become CEL. An
expression or a place that the recommendation calls illegal, whatever the language, becomes one
that can't be evaluated here. What a machine has no means for raises `NotExpressible`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from lxml import etree

Definition = dict[str, Any]

SCXML_TYPES: Final = (None, "scxml", "http://www.w3.org/TR/scxml", "http://www.w3.org/TR/scxml/")
PROCESSOR: Final = "http://www.w3.org/TR/scxml/#SCXMLEventProcessor"
ILLEGAL: Final = "data.undeclared.illegal"
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>'[^']*'|"[^"]*")|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)"""
    r"""|(?P<sign>==|!=|<=|>=|\|\||&&|[-+*/%<>()\[\],.!|:{}]))"""
)
_WORDS: Final = {
    "and": "&&",
    "or": "||",
    "not": "!",
    "None": "null",
    "null": "null",
    "True": "true",
    "true": "true",
    "False": "false",
    "false": "false",
    "is": "==",
}
_FIELDS: Final = {
    "name": "event.name",
    "type": "event.type",
    "data": "event.data",
    "origin": "event.sender",
    "invokeid": "event.sender",
}
_WITHOUT: Final = {
    "raw": "the raw text of an event",
    "sendid": "ids of sent events (`sendid`, `idlocation`)",
    "origintype": "types of event processors",
}


class NotExpressible(Exception):
    """A machine has no means for what a document does.

    Args:
        means: What it has not.
    """

    def __init__(self, means: str) -> None:
        super().__init__(means)
        self.means = means


def translated(path: Path) -> list[Definition]:
    """Return the definitions of a document: the first one, and those that it starts.

    Raises:
        NotExpressible: Machines have no means for something in it.
    """
    found: list[Definition] = []
    _Document(_read(path), path, path.stem, found)
    return found[::-1]


def _read(path: Path) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    text = path.read_text(encoding="utf-8-sig").lstrip()
    return etree.fromstring(text.encode(), parser)


class _Document:
    """Translates one document, and those within it.

    Args:
        root: Its element.
        path: Its file, beside which there are others.
        name: The workflow's name.
        found: Collects the definitions, those of children first.
        is_child: Whether another one starts it, and may give it data.
    """

    def __init__(
        self,
        root: etree._Element,
        path: Path,
        name: str,
        found: list[Definition],
        *,
        is_child: bool = False,
    ) -> None:
        ids = {each.get("id") for each in root.iter() if self._is_own(each, root)}
        for each in root.iter("{*}transition"):
            if self._is_own(each, root) and not ids.issuperset(each.get("target", "").split()):
                raise NotExpressible("a transition to a state that the document does not have")
        self._path = path
        self._name = name
        self._found = found
        self._is_child = is_child
        self._late = root.get("binding") == "late"
        self._actions: dict[str, dict[str, Any]] = {}
        self._transitions: list[dict[str, Any]] = []
        self._from_anywhere: list[dict[str, Any]] = []
        self._declared = {
            each.get("id") for each in root.iter("{*}data") if self._is_own(each, root)
        }
        self._names_children = any(
            each.get("id") for each in root.iter("{*}invoke") if self._is_own(each, root)
        )
        data = self._all_data(root)
        states = dict(self._states(root))
        definition: Definition = {
            "name": name,
            "kind": "reactive",
            "on_failure": "continue",
            "data": data,
            "states": states,
            "transitions": [*self._transitions, *self._from_anywhere],
            "actions": self._actions,
        }
        if root.get("initial"):
            definition["initial"] = root.get("initial", "").split()
        found.append(definition)

    def _is_own(self, element: etree._Element, root: etree._Element) -> bool:
        return next(element.iterancestors("{*}scxml"), None) is root

    # data

    def _all_data(self, root: etree._Element) -> dict[str, Any]:
        found = {}
        for each in root.iter("{*}data"):
            if self._is_own(each, root) and not (
                self._late and each.getparent().getparent() is not root
            ):
                found[each.get("id", "")] = self._first_value(each)
        for script in root.findall("{*}script"):
            for name, value in _assignments(script.text or ""):
                found[name] = self._template(value, at_start=True)
                self._declared.add(name)
        return found

    def _first_value(self, element: etree._Element) -> Any:
        if element.get("src") is not None:
            raise NotExpressible("data that is read from a file when the machine starts")
        if len(element):
            raise NotExpressible("XML as data")
        expression, name = element.get("expr"), element.get("id", "")
        if expression is not None and self._cel(expression, at_start=True) == ILLEGAL:
            raise NotExpressible("an event for initial data that can't be evaluated")
        value: Any = "${null}"  # TOML has none
        if expression is not None:
            value = self._template(expression, at_start=True)
        elif element.text and element.text.strip():
            value = _literal(element.text)
        if not self._is_child:
            return value
        rest = json.dumps(value)
        if expression is not None or value == "${null}":
            rest = self._cel(expression or "null", at_start=True)
        return f"${{has(input.{name}) ? input.{name} : {rest}}}"

    # states

    def _states(self, parent: etree._Element) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, each in enumerate(parent):
            tag = _tag(each)
            if tag in ("state", "parallel", "final", "history"):
                name = each.get("id") or f"{parent.get('id', 'unnamed')}-{number}"
                yield name, self._state(each, name, tag)

    def _state(self, element: etree._Element, name: str, tag: str) -> dict[str, Any]:
        if tag == "history":
            first = element.find("{*}transition")
            state: dict[str, Any] = {"history": element.get("type", "shallow")}
            if first is not None:
                if len(first):
                    raise NotExpressible("actions of the transition of `initial` and `history`")
                state["initial"] = first.get("target", "").split()
            return state
        state = {}
        if tag in ("parallel", "final"):
            state[tag] = True
        if (initial := self._initial(element)) is not None:
            state["initial"] = initial
        for key, of in (("entry", "onentry"), ("exit", "onexit")):
            blocks = element.findall(f"{{*}}{of}")
            if len(blocks) > 1 and any(_tag(each) != "raise" for block in blocks for each in block):
                raise NotExpressible("several blocks of entry or exit actions in one state")
            state[key] = [each for block in blocks for each in self._block(block)]
        state["entry"] = [*self._late_data(element), *state["entry"], *self._invokes(element, name)]
        if (done := element.find("{*}donedata")) is not None:
            state["result"] = self._payload(done)
        for each in element.findall("{*}transition"):
            self._transition(each, name)
        state["states"] = dict(self._states(element))
        return state

    def _initial(self, element: etree._Element) -> list[str] | None:
        inner = element.find("{*}initial/{*}transition")
        if inner is not None:
            if len(inner):
                raise NotExpressible("actions of the transition of `initial` and `history`")
            return [*inner.get("target", "").split()]
        given = element.get("initial")
        return None if given is None else [*given.split()]

    def _late_data(self, element: etree._Element) -> list[str]:
        if not self._late:
            return []
        return [
            self._add("set", values={each.get("id", ""): self._template(each.get("expr", "null"))})
            for each in element.findall("{*}datamodel/{*}data")
        ]

    def _transition(self, element: etree._Element, source: str) -> None:
        actions = self._block(element)
        for event in (element.get("event") or "").split() or [""]:
            made: dict[str, Any] = {
                "name": f"t{len(self._transitions) + 1}",
                "from": source,
                "to": element.get("target", "").split(),
                "trigger": _trigger(event),
                "internal": element.get("type") == "internal",
                "actions": actions,
            }
            if (condition := element.get("cond")) is not None:
                made["condition"] = self._condition(condition)
            self._transitions.append(made)

    # actions

    def _block(self, parent: Iterable[etree._Element]) -> list[str]:
        return [name for each in parent for name in self._action(each)]

    def _add(self, type_: str, **keys: Any) -> str:
        name = keys.pop("name", None) or f"{type_}_{len(self._actions) + 1}"
        self._actions[name] = {"type": type_, **keys}
        return name

    def _action(self, element: etree._Element) -> list[str]:
        tag = _tag(element)
        if tag == "log":
            return []
        if tag == "raise":
            return [self._add("raise", event=element.get("event"))]
        if tag == "assign":
            return [self._assign(element)]
        if tag == "script":
            made = ", ".join(
                f"'{name}': {self._cel(value)}" for name, value in _assignments(element.text or "")
            )
            return [self._add("script", expression=f"{{{made}}}")]
        if tag == "if":
            return self._if(element)
        if tag == "foreach":
            return [self._foreach(element)]
        if tag == "cancel":
            timer = element.get("sendid") or "${" + self._cel(element.get("sendidexpr", "")) + "}"
            return [self._add("timer", timer=timer, cancel=True)]
        if tag == "send":
            return [self._send(element)]
        raise AssertionError(tag)

    def _assign(self, element: etree._Element) -> str:
        if len(element):
            raise NotExpressible("XML as data")
        place = self._place(element.get("location", ""))
        return self._add("set", values={place: self._template(element.get("expr", ""))})

    def _place(self, location: str) -> str:
        if location.startswith("_"):
            raise NotExpressible("assignment to a system variable: there is only `data`")
        if not re.fullmatch(r"\w+(\.\w+)*", location) or (
            "." not in location and (location not in self._declared)
        ):
            return "undeclared.place"
        return location

    def _if(self, element: etree._Element) -> list[str]:
        parts: list[tuple[str | None, list[etree._Element]]] = [(element.get("cond"), [])]
        for each in element:
            if _tag(each) in ("elseif", "else"):
                parts.append((each.get("cond"), []))
            else:
                parts[-1][1].append(each)
        rest: list[str] = []
        for condition, inner in reversed(parts):
            actions = self._block(inner)
            if condition is None:
                rest = actions
            else:
                made = self._add(
                    "if",
                    condition=self._condition(condition),
                    then=actions,
                    **{"else": rest},
                )
                rest = [made]
        return rest

    def _foreach(self, element: etree._Element) -> str:
        keys: dict[str, Any] = {}
        for key in ("item", "index"):
            if (name := element.get(key)) is not None:
                keys[key] = name if name.isidentifier() else "undeclared.place"
                self._declared.add(name)
        items = self._template(element.get("array", ""))
        return self._add("foreach", items=items, actions=self._block(element), **keys)

    def _send(self, element: etree._Element) -> str:
        self._check_processor(element)
        if element.get("idlocation") is not None:
            raise NotExpressible(_WITHOUT["sendid"])
        event = element.get("event")
        if event is None and (expression := element.get("eventexpr")) is not None:
            event = "${" + self._cel(expression) + "}"
        if event is None:
            raise NotExpressible("events over HTTP (`BasicHTTPEventProcessor`)")
        data, target = self._payload(element), self._target(element)
        delay = self._delay(element)
        if delay is None:
            if target == "#internal":
                return self._add("raise", event=event, data=data)
            return self._add("send", event=event, target=target, data=data)
        timer = element.get("id") or f"timer_{len(self._actions) + 1}"
        if target == "#self":
            return self._add("timer", timer=timer, after=delay, event=event, data=data)
        sends = self._add("send", event=event, target=target, data=data)
        due = f"due.{timer}"
        self._from_anywhere.append(
            {"name": f"when {timer}", "from": "*", "trigger": due, "actions": [sends]}
        )
        return self._add("timer", timer=timer, after=delay, event=due)

    def _check_processor(self, element: etree._Element) -> None:
        type_, expression = element.get("type"), element.get("typeexpr")
        texts = " ".join(element.attrib.values())
        if "basichttp" in texts.lower():
            raise NotExpressible("events over HTTP (`BasicHTTPEventProcessor`)")
        if type_ not in (None, PROCESSOR) or expression not in (None, "_event.origintype"):
            raise NotExpressible(_WITHOUT["origintype"])

    def _target(self, element: etree._Element) -> str:
        expression = element.get("targetexpr")
        if expression is not None:
            return "${" + self._cel(expression) + "}"
        target: str = element.get("target", "")
        words = {"": "#self", "#_internal": "#internal", "#_parent": "#parent"}
        if target in words:
            return words[target]
        if target.startswith("#_scxml_"):
            return target.removeprefix("#_scxml_")
        return "#" + target.removeprefix("#_") if target.startswith("#_") else target

    def _delay(self, element: etree._Element) -> str | None:
        delay = element.get("delay")
        if delay is None and (expression := element.get("delayexpr")) is not None:
            literal = re.fullmatch(r"\s*'([^']*)'\s*", expression)
            if literal is None:
                return "${" + self._cel(expression) + "}"
            delay = literal.group(1)
        return None if delay is None else re.sub(r"^\.", "0.", delay)

    def _payload(self, element: etree._Element) -> Any:
        content = element.find("{*}content")
        if content is not None:
            if len(content):
                raise NotExpressible("XML as data")
            expression = content.get("expr")
            return self._template(expression) if expression is not None else _literal(content.text)
        given = {name: self._template(name) for name in element.get("namelist", "").split()}
        for each in element.findall("{*}param"):
            value = each.get("expr") or each.get("location") or ""
            given[each.get("name", "")] = self._template(value)
        return given

    def _invokes(self, element: etree._Element, state: str) -> list[str]:
        return [
            self._invoke(each, f"{state}_{number}")
            for number, each in enumerate(element.findall("{*}invoke"), 1)
        ]

    def _invoke(self, element: etree._Element, name: str) -> str:
        if element.get("typeexpr") or element.get("srcexpr"):
            raise NotExpressible("a child whose workflow or type is computed")
        if element.get("type") not in SCXML_TYPES:
            raise AssertionError(element.get("type"))
        if element.get("autoforward") == "true":
            raise NotExpressible("`autoforward` of events to a child")
        if (finalize := element.find("{*}finalize")) is not None and len(finalize):
            raise NotExpressible("`finalize`: actions before the conditions of an event")
        source, content = element.get("src"), element.find("{*}content")
        child = f"{self._name}-{element.get('id') or name}"
        if source is not None:
            path = self._path.with_name(source.removeprefix("file:"))
            _Document(_read(path), path, child, self._found, is_child=True)
        elif content is not None and len(content):
            _Document(content[0], self._path, child, self._found, is_child=True)
        else:
            raise NotExpressible("a child whose workflow or type is computed")
        keys = {"input": self._payload_of_invoke(element), "workflow": child}
        if (place := element.get("idlocation")) is not None:
            keys["result"] = self._place(place)
        return self._add("workflow", name=element.get("id") or name, **keys)

    def _payload_of_invoke(self, element: etree._Element) -> Any:
        given = {name: self._template(name) for name in element.get("namelist", "").split()}
        for each in element.findall("{*}param"):
            given[each.get("name", "")] = self._template(each.get("expr") or "")
        return given

    # expressions

    def _template(self, expression: str, *, at_start: bool = False) -> Any:
        return "${" + self._cel(expression, at_start=at_start) + "}"

    def _condition(self, expression: str) -> str:
        text = expression.strip()
        negated, _, bare = text.rpartition("not ")
        if negated.strip():
            bare, negated = text, ""
        if re.fullmatch(r"\w+", bare) and bare in self._variables(bare):
            known = f"has(data.{bare}) && data.{bare} != null"
            return f"!({known})" if text != bare else known
        if re.fullmatch(r"_event\.(origin|invokeid)", bare) and text != bare:
            return "event.sender == ''"
        if bare in ("_event", "_sessionid"):
            return {"_event": "event.name != ''", "_sessionid": "instance.id != ''"}[bare]
        if re.fullmatch(r"'[^']*'", text):
            raise NotExpressible("conditions that are neither true nor false")
        return self._cel(text)

    def _variables(self, name: str) -> list[str]:
        return [] if name in _WORDS or name.startswith("_") or name.isdigit() else [name]

    def _cel(self, expression: str, *, at_start: bool = False) -> str:
        """Return an expression in CEL; what is no expression becomes one that fails."""
        text = expression.strip()
        text = re.sub(r"\.get\('(\w+)'\)", r".\1", text)
        text = re.sub(r"\.startsWith\(|\.startswith\(", ".startsWith(", text)
        if text == "return" or re.fullmatch(r"1 = 1", text):
            return ILLEGAL
        for name, means in _WITHOUT.items():
            if f'_event, "{name}"' in text:
                raise NotExpressible(means)
        if "_ioprocessors" in text:
            raise NotExpressible("`_ioprocessors`")
        if re.search(r"\blambda\b|findall|instanceof|search\(|\w\(\)", text):
            raise NotExpressible("functions and objects of ECMAScript or Python")
        tokens, position = [], 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise AssertionError(f"{text!r} at {position}")
            tokens.append(match)
            position = match.end()
        return "".join(self._tokens(tokens, at_start))

    def _tokens(self, tokens: list[re.Match[str]], at_start: bool) -> Iterator[str]:
        words = [match.group().strip() for match in tokens]
        skipped = 0
        for place, (match, word) in enumerate(zip(tokens, words, strict=True)):
            before, after = words[place - 1] if place else "", words[place + 1 : place + 3]
            if skipped:
                skipped -= 1
            elif match["text"]:
                yield _address(word)
            elif word == "not" and before == "is":
                pass
            elif word == "is":
                yield " != " if after[:1] == ["not"] else " == "
            elif match["name"] and before != ".":
                if word == "_event" and after[:1] == ["."]:
                    yield self._field(after[1])
                    skipped = 2
                elif word == "In":
                    yield f"({words[place + 2]} in instance.states)"
                    skipped = 3
                else:
                    yield self._name_of(word, at_start)
            else:
                yield (
                    f" {word} "
                    if word in ("==", "!=", "+", "<", ">")
                    else word.replace("|", "||")
                    if word == "|"
                    else word
                )

    def _field(self, name: str) -> str:
        if name in _WITHOUT:
            raise NotExpressible(_WITHOUT[name])
        if name == "invokeid" and self._names_children:
            raise NotExpressible("the name of the action in the event of a child (`invokeid`)")
        return _FIELDS[name]

    def _name_of(self, word: str, at_start: bool) -> str:
        if word in _WORDS:
            return f" {_WORDS[word]} " if word in ("and", "or") else _WORDS[word]
        known = {
            "_sessionid": "run.id" if at_start else "instance.id",
            "_name": "run.workflow" if at_start else "instance.workflow",
            "_event": "event",
        }
        return known.get(word) or f"data.{word}"


def _tag(element: etree._Element) -> str:
    return str(etree.QName(element).localname)


def _trigger(event: str) -> str:
    if event in ("*", ".*"):
        return "*"
    event = event.removesuffix(".*").removesuffix(".")
    for theirs, ours in (
        ("error.execution", "error"),
        ("error.communication", "error"),
        ("done.invoke", "done.workflow"),
    ):
        if event == theirs or event.startswith(f"{theirs}."):
            return ours + event.removeprefix(theirs)
    return event


def _address(text: str) -> str:
    """Return a text literal; SCXML's addresses of sessions become ours."""
    inner = text[1:-1].replace("#_scxml_", "#").replace("#_internal", "#internal")
    return json.dumps(inner)


def _literal(text: str | None) -> Any:
    """Return the value of the text of an element, as of B.2.8.1: JSON, else the text."""
    spaced = " ".join((text or "").split())
    try:
        return json.loads(spaced)
    except ValueError:
        return spaced


def _assignments(script: str) -> list[tuple[str, str]]:
    """Return the names and the values that a script assigns, when it does only that."""
    found = []
    for line in filter(None, map(str.strip, re.split(r"[;\n]", script))):
        match = re.fullmatch(r"(\w+)\s*(\+?)=\s*([^=].*)", line)
        if match is None:
            raise NotExpressible("functions and objects of ECMAScript or Python")
        name, plus, value = match.groups()
        found.append((name, f"{name} + {value}" if plus else value))
    return found
