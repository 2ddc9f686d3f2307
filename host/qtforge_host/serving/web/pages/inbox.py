"""The runs that wait for a person, and the page on which one of them is decided."""

from __future__ import annotations

import datetime
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

import msgspec

from qtforge_host.api.documents import AcceptedEvent, MachineDocument, Timer
from qtforge_host.api.inbox import PERSON, is_a_persons
from qtforge_host.api.snapshots import RunSnapshot
from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.web.visit import Done, Notice, Page, View, Visit
from qtforge_host.serving.web.words import title_text

__all__ = ["PAGES", "Card", "DecisionPage", "InboxPage", "InboxQuery"]

_AT_ONCE: Final = 30
_WAIT_S: Final = 5.0
# Words by which a choice is known to refuse, in the names of transitions and events.
_REFUSING: Final = frozenset({"reject", "refuse", "decline", "deny", "cancel", "abort", "stop"})


class InboxQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of the inbox is shown.

    Attributes:
        workflow: Only runs of this workflow.
        after: The run after which the page begins.
    """

    workflow: str | None = None
    after: str | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person can decide.

    Attributes:
        name: The transition, or of a workflow in Python the event.
        text: On its button.
        tone: ``primary``, ``bad`` or "".
        command: The same for the command line.
    """

    name: str
    text: str
    tone: str
    command: str


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A run that waits for a person.

    Attributes:
        run_id: Its id.
        title: What it is about, or its workflow.
        workflow: Its workflow.
        state: What it waits in, or for.
        since: Since when.
        timer: What happens next by itself; None for nothing.
        is_late: Whether the time of that has passed.
        choices: What can be decided, what is most likely first.
        takes_data: Whether the event may have data that only its workflow knows.
    """

    run_id: str
    title: str
    workflow: str
    state: str
    since: datetime.datetime
    timer: Timer | None
    is_late: bool
    choices: Sequence[Choice]
    takes_data: bool


class InboxPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the inbox shows.

    Attributes:
        cards: The runs, that which has waited longest first.
        workflow: The workflow that restricts the list, or "".
        further: The address of the next page, or "".
        is_first: Whether it is the first page.
        may_decide: Whether the person may decide.
    """

    cards: Sequence[Card]
    workflow: str
    further: str
    is_first: bool
    may_decide: bool


class DecisionPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of one decision shows.

    Attributes:
        card: The run; None where it waits for nobody.
        run_id: The run.
        title: What it is about, or its workflow.
        status: The run's status.
        facts: The run's input.
        may_decide: Whether the person may decide.
    """

    card: Card | None
    run_id: str
    title: str
    status: str
    facts: Any
    may_decide: bool


class DecisionForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision.

    Attributes:
        pick: The choice's name.
        comment: What the person says about it.
        data: Data for a workflow in Python, as JSON.
    """

    pick: str
    comment: str = ""
    data: str = ""


async def show_inbox(visit: Visit) -> View:
    """Show the runs that wait."""
    query = visit.query(InboxQuery)
    found = await visit.client.inbox(workflow=query.workflow, after=query.after, limit=_AT_ONCE)
    further = {"workflow": query.workflow, "after": found.next}
    items = {name: value for name, value in further.items() if value is not None}
    page = InboxPage(
        cards=[
            _card(
                run_id=each.run_id,
                title=each.title or each.document or each.workflow,
                workflow=each.workflow,
                state=each.state,
                since=each.since,
                machine=each.machine,
                awaited=each.accepts,
            )
            for each in found.inbox
        ],
        workflow=query.workflow or "",
        further=f"/inbox?{urlencode(items)}" if found.next is not None else "",
        is_first=query.after is None,
        may_decide=visit.person.may("approve"),
    )  # fmt: skip
    return View(
        title="Inbox", section="inbox", template="inbox.html", data=page, fragment="_inbox.html"
    )


async def show_decision(visit: Visit) -> View:
    """Show one run with what can be decided."""
    run_id = visit.path["run_id"]
    run = await visit.client.show(run_id)
    document = run.document()
    checkpoint, title = run.state.checkpoint, _title(run)
    since = run.state.label_since if checkpoint is not None else None
    card = _card(
        run_id=run_id,
        title=title,
        workflow=document.workflow,
        state="" if checkpoint is None else checkpoint.label,
        since=since or document.started_at or datetime.datetime.now(datetime.UTC),
        machine=document.machine,
        awaited=_awaited(run),
    )
    page = DecisionPage(
        card=card if card.choices and not run.ended else None,
        run_id=run_id,
        title=title,
        status=document.status,
        facts=document.input,
        may_decide=visit.person.may("approve"),
    )
    return View(
        title=title,
        section="inbox",
        template="decision.html",
        data=page,
        fragment="_decision.html",
        run_id=run_id,
    )


async def decide(visit: Visit) -> Done:
    """Send the event of a choice, if the run takes it now.

    The page names the choice; what is sent comes from what the run accepts now, so that an old
    page can't send what does not fit.
    """
    form, run_id = visit.form(DecisionForm), visit.path["run_id"]
    run = await visit.client.show(run_id)
    document, title = run.document(), _title(run)
    data: Any = None
    if document.machine is not None:
        offers = {each.transition: each for each in _offers(document.machine)}
        event = offers[form.pick].event if form.pick in offers and not run.ended else ""
        if event:
            data = {**offers[form.pick].data, "by": visit.person.name}
            data |= {"comment": form.comment} if form.comment else {}
    else:
        event = form.pick if form.pick in _awaited(run) else ""
        data = _decoded(form.data)
    if not event:
        return _done(run_id, f"“{title}” does not wait for that any more.", tone="bad")
    sent = (await visit.client.send(run_id, event, data, timeout=_WAIT_S)).document()
    words = title_text(form.pick)
    if not sent.received:
        return _done(run_id, f"“{title}”: {words} is noted. The run takes it as soon as it can.")
    if sent.taken is False:
        why = sent.reason if isinstance(sent.reason, str) else ""
        return _done(run_id, f"“{title}” did not take it.", why, tone="bad")
    return _done(run_id, f"“{title}”: {words}.")


def _done(run_id: str, text: str, detail: str = "", tone: Literal["good", "bad"] = "good") -> Done:
    link = f"/runs/{quote(run_id, safe='')}"
    notice = Notice(text=text, detail=detail, tone=tone, link=link, link_text="See the run")
    return Done(notice=notice, to="/inbox")


def _decoded(text: str) -> Any:
    """Return the data of an event that was written as JSON; None where nothing was.

    Raises:
        RefusedError: It is no JSON.
    """
    if not text.strip():
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        fix = 'write a text as "text", and an object as {"name": "value"}'
        raise RefusedError(
            422, "http.invalid_request", "the data is not JSON", str(error), fix
        ) from None


def _title(run: RunSnapshot) -> str:
    document = run.document()
    return document.title or document.document or document.workflow


def _awaited(run: RunSnapshot) -> list[str]:
    """Return the events of people that the code of a run waits for."""
    if run.state.checkpoint is not None or run.status != "waiting":
        return []
    return [each for each in run.state.accepts if is_a_persons(each)]


def _offers(machine: MachineDocument) -> list[AcceptedEvent]:
    return [each for each in machine.accepts if not each.from_within and is_a_persons(each.event)]


def _card(
    *,
    run_id: str,
    title: str,
    workflow: str,
    state: str,
    since: datetime.datetime,
    machine: MachineDocument | None,
    awaited: Iterable[str],
) -> Card:
    timer = None
    if machine is None:
        choices = [
            Choice(
                name=event, text=_label(event.removeprefix(f"{PERSON}.")),
                tone=_tone(event, number),
                command=shlex.join(["qtforge-host", "send", run_id, event]),
            )
            for number, event in enumerate(awaited)
        ]  # fmt: skip
    else:
        timer = min(machine.timers, key=lambda each: each.due, default=None)
        choices = [
            Choice(
                name=each.transition, text=_label(each.transition),
                tone=_tone(each.transition, number), command=each.command or "",
            )
            for number, each in enumerate(_offers(machine))
        ]  # fmt: skip
    return Card(
        run_id=run_id,
        title=title,
        workflow=workflow,
        state=state,
        since=since,
        timer=timer,
        is_late=timer is not None and timer.due < datetime.datetime.now(datetime.UTC),
        choices=choices,
        takes_data=machine is None,
    )


def _label(name: str) -> str:
    text = title_text(name)
    return text[:1].upper() + text[1:]


def _tone(name: str, number: int) -> str:
    if not _REFUSING.isdisjoint(re.split(r"[\W_]+", name.lower())):
        return "bad"
    return "primary" if number == 0 else ""


PAGES: Final = (
    Page(path="/inbox", show=show_inbox),
    Page(path="/inbox/{run_id}", show=show_decision),
    Page(path="/inbox/{run_id}/decide", scope="approve", act=decide),
)
