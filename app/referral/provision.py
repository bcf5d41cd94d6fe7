"""The rules of a Consent, and whether each of their conditions holds (R4 Consent.provision).

A condition holds, does not hold, or cannot be told; what cannot be told counts against sharing: it lets a permit fall
and a denial stand.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Literal

from app.fhir.element_access import codes, objects, text
from app.fhir.labels import ACT_CODE, CONFIDENTIALITY, LEVELS, SENSITIVE_CODES, read_labels, widen_code
from app.fhir.references import parse_reference
from app.search.dates import FIRST, LAST, read_interval

Resource = dict[str, Any]
Decision = Literal["permit", "deny"]

ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
COORDINATION = "COC"
"""Coordination of care: what a referral shares its package for, unless its Task says otherwise in meta.security."""
WIDER_PURPOSE = {
    **dict.fromkeys(("COC", "CLINTRL", "ETREAT", "POPHLTH"), "TREAT"),
    **dict.fromkeys(("BTG", "ERTREAT"), "ETREAT"),
    **dict.fromkeys(("FAMRQT", "PWATRNY", "SUPNWK"), "PATRQT"),
    "CAREMGT": "HOPERAT",
}
"""What each purpose of use is a kind of (v3-ActReason)."""

NO_RECIPIENTS = frozenset(
    {"AUT", "CONSENTER", "CONWIT", "CST", "DELEGATOR", "DPOWATT", "GRANTOR", "GUARD", "HPOWATT", "INF", "WIT"}
)
"""Roles of a provision's actor in which it does not receive what the rule is about."""
PERSONS = frozenset({"Device", "Patient", "RelatedPerson"})
"""Actors that no client of this server acts for."""
ACTIONS = "http://terminology.hl7.org/CodeSystem/consentaction"
READING = frozenset({"access", "disclose", "use"})


@dataclass(frozen=True, slots=True)
class Question:
    """May ``resource`` go to the organisation ``recipient`` for these purposes at this moment?

    ``recipient`` is None where nobody is asked yet; ``disclosed`` is False where the patient's own organisation keeps
    the work: only a refusal of the help itself counts then. ``who`` tells for each actor (``name_actor``) its
    organisation. Dates without a time are days of ``zone``.
    """

    resource: Resource
    recipient: str | None
    purposes: frozenset[str]
    at: datetime
    zone: tzinfo
    who: Mapping[str, str | None]
    disclosed: bool = True


Condition = Callable[[Resource, Question, Decision], bool | None]


def read_purposes(task: Resource) -> frozenset[str]:
    """The purposes of use in the Task's security labels, else coordination of care."""
    security = [label for meta in objects(task, "meta") for label in objects(meta, "security")]
    found = {text(each, "code") for each in security if text(each, "system") == ACT_REASON}
    return frozenset(found or {COORDINATION})


def read_kind(rule: Resource) -> Decision | None:
    """``provision.type``."""
    match rule.get("type"):
        case "permit":
            return "permit"
        case "deny":
            return "deny"
    return None


def holds(rule: Resource, question: Question, kind: Decision) -> bool | None:
    """Whether all conditions of a rule hold; None where that cannot be told."""
    answers = [condition(rule, question, kind) for condition in CONDITIONS]
    if False in answers:
        return False
    return None if None in answers else True


def in_period(rule: Resource, question: Question, kind: Decision) -> bool | None:
    since, until = read_period(rule, question.zone)
    return since <= question.at < until


def read_period(rule: Resource, zone: tzinfo) -> tuple[datetime, datetime]:
    """The first moment of ``provision.period`` and the first after it."""
    period = next(iter(objects(rule, "period")), {})
    start, end = text(period, "start"), text(period, "end")
    since = read_day(start, zone)[0] if start else FIRST
    return since, read_day(end, zone)[1] if end else LAST


def read_day(moment: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """The interval of a dateTime; nothing at all for one that cannot be read."""
    try:
        low, high = read_interval(moment)
        if "T" not in moment:
            low, high = low.replace(tzinfo=zone), high.replace(tzinfo=zone)
    except (ValueError, OverflowError):
        return LAST, FIRST
    return low, high


def has_recipient(rule: Resource, question: Question, kind: Decision) -> bool | None:
    """Whether an actor of the rule is the recipient; a rule without actors is about everyone."""
    actors = objects(rule, "actor")
    if not actors:
        return True
    received = [each for each in actors if {code for _, code in codes(each, "role")}.isdisjoint(NO_RECIPIENTS)]
    if not received:
        return None
    answers = [is_recipient(each, question) for each in received]
    return True if True in answers else None if None in answers else False


def is_recipient(actor: Resource, question: Question) -> bool | None:
    reference = next(iter(objects(actor, "reference")), {})
    organization = question.who.get(name_actor(reference))
    if organization:
        return organization == question.recipient
    named = parse_reference(text(reference, "reference"), None)
    if question.recipient is None or (named.type if named else text(reference, "type")) in PERSONS:
        return False
    return None


def name_actor(reference: Resource) -> str:
    """The reference of an actor as a key: its literal, else its identifier."""
    identifier = next(iter(objects(reference, "identifier")), {})
    return text(reference, "reference") or f"{text(identifier, 'system')}|{text(identifier, 'value')}"


def names_recipient(rule: Resource, question: Question) -> bool:
    return bool(objects(rule, "actor")) and has_recipient(rule, question, "permit") is True


def has_purpose(rule: Resource, question: Question, kind: Decision) -> bool | None:
    """A permit must cover every purpose; a denial of one of them is enough."""
    listed = objects(rule, "purpose")
    if not listed:
        return True
    wanted = {text(each, "code") for each in listed if text(each, "system") == ACT_REASON}
    covered = [not wanted.isdisjoint(widen_purpose(each)) for each in question.purposes]
    if all(covered) if kind == "permit" else any(covered):
        return True
    return None if any(text(each, "system") != ACT_REASON for each in listed) else False


def widen_purpose(code: str) -> set[str]:
    """A purpose and what it is a kind of."""
    found = {code, "PurposeOfUse"}
    while code in WIDER_PURPOSE:
        code = WIDER_PURPOSE[code]
        found.add(code)
    return found


def has_action(rule: Resource, question: Question, kind: Decision) -> bool | None:
    listed = objects(rule, "action")
    if not listed or not {code for _, code in codes(rule, "action")}.isdisjoint(READING):
        return True
    known = [any(text(coding, "system") == ACTIONS for coding in objects(each, "coding")) for each in listed]
    return False if all(known) else None


def has_labels(rule: Resource, question: Question, kind: Decision) -> bool | None:
    """A permit covers its confidentiality and below, whatever the sensitivity; where it lists sensitivities, every one
    of the resource's must be among them. A denial is the other way round.
    """
    listed = [(text(each, "system"), text(each, "code")) for each in objects(rule, "securityLabel")]
    if not listed:
        return True
    levels = {LEVELS.index(code) for system, code in listed if system == CONFIDENTIALITY and code in LEVELS}
    kinds = {code for system, code in listed if system == ACT_CODE and code in SENSITIVE_CODES}
    labels = read_labels(question.resource)
    level = LEVELS.index(labels.level)
    answers: list[bool | None] = [None] if len(levels) + len(kinds) < len(set(listed)) else []
    if kind == "permit":
        if levels:
            answers.append(level <= max(levels))
        if kinds:
            answers.append(bool(labels.codes) and all(not kinds.isdisjoint(widen_code(each)) for each in labels.codes))
        return False if False in answers else None if None in answers else True
    if levels:
        answers.append(level >= min(levels))
    answers += [code in widen_code(each) or each in widen_code(code) for code in kinds for each in labels.codes]
    return True if True in answers else None if None in answers else False


def has_class(rule: Resource, question: Question, kind: Decision) -> bool | None:
    listed = objects(rule, "class")
    if not listed or any(text(each, "code") == question.resource.get("resourceType") for each in listed):
        return True
    return None if any(text(each, "system") != "http://hl7.org/fhir/resource-types" for each in listed) else False


def has_code(rule: Resource, question: Question, kind: Decision) -> bool | None:
    """A rule about codes applies where one of them is found in the resource."""
    wanted = codes(rule, "code")
    return not objects(rule, "code") or (not wanted.isdisjoint(walk_codings(question.resource)) if wanted else None)


def walk_codings(node: Any) -> Iterator[tuple[str, str]]:
    """(system, code) of every Coding at any depth."""
    if isinstance(node, dict):
        if "code" in node and "system" in node:
            yield text(node, "system"), text(node, "code")
        for each in node.values():
            yield from walk_codings(each)
    elif isinstance(node, list):
        for each in node:
            yield from walk_codings(each)


def has_data(rule: Resource, question: Question, kind: Decision) -> bool | None:
    """Named instances can be told; what is related to them cannot, nor when what is shared came about."""
    if objects(rule, "dataPeriod"):
        return None
    listed = objects(rule, "data")
    own = f"{question.resource.get('resourceType')}/{question.resource.get('id')}"
    named = [text(reference, "reference") for each in listed for reference in objects(each, "reference")]
    plain = [each.partition("/_history/")[0] for each in named]
    if not listed or any(each == own or each.endswith(f"/{own}") for each in plain):
        return True
    return False if all(plain) and all(each.get("meaning") == "instance" for each in listed) else None


def is_understood(rule: Resource, question: Question, kind: Decision) -> bool | None:
    """A modifier extension may turn the rule into another (R4 extensibility)."""
    return None if "modifierExtension" in rule else True


CONDITIONS: tuple[Condition, ...] = (
    is_understood,
    in_period,
    has_recipient,
    has_purpose,
    has_action,
    has_labels,
    has_class,
    has_code,
    has_data,
)


def walk_rules(consent: Resource) -> Iterator[Resource]:
    """The provisions of a Consent, at every depth."""
    stack = objects(consent, "provision")
    while stack:
        rule = stack.pop()
        yield rule
        stack += objects(rule, "provision")


def find_next_change(consents: Iterable[Resource], at: datetime, zone: tzinfo) -> datetime | None:
    """When a period of an active Consent next begins or ends: what they say may be another thing from then on."""
    moments = [
        moment
        for consent in consents
        if consent.get("status") == "active"
        for rule in walk_rules(consent)
        for moment in read_period(rule, zone)
        if at < moment < LAST
    ]
    return min(moments, default=None)
