"""Reads a Subscription: what is asked for, or why it is refused (Subscriptions R5 Backport, R4 Subscription)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.errors import Invalid, NotOffered, Unprocessable
from app.core.settings import Settings
from app.delivery.criteria import is_search, parse_criteria
from app.delivery.filters import Filter, parse_filter
from app.delivery.headers import read_headers
from app.delivery.mail_request import check_mail_channel, read_payload
from app.delivery.message import COMPACT, FHIR_JSON
from app.delivery.telling import CONTENTS
from app.delivery.terms import BACKPORT, VALUES, Terms, read_terms
from app.delivery.topics import BY_CANONICAL, BY_NAME, Topic, check_topics
from app.delivery.webhooks import CRITERIA, REASON_TEXT, check_endpoint
from app.store.followed import RESOURCE_VERSION

Json = dict[str, Any]

FILTER_CRITERIA = f"{BACKPORT}/backport-filter-criteria"
PAYLOAD_CONTENT = f"{BACKPORT}/backport-payload-content"
MEANINGFUL = (BACKPORT, "http://hl7.org/fhir/5.0/", "http://hl7.org/fhir/4.3/", "http://hl7.org/fhir/6.0/")
"""Extensions below these ask for something: one that is not offered is refused, not ignored."""

MOST_FILTERS = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a Subscription asks for; ``status`` is requested or off, ``content`` None for a compact webhook.

    ``types`` are those of the resources that it would tell of; ``follows`` is the search of classic criteria;
    ``reason_text`` asks a compact webhook for the words of a statusReason.
    """

    status: str
    url: str
    topics: list[str]
    types: list[str]
    filters: list[Filter]
    content: str | None
    payload: str
    headers: list[str]
    terms: Terms
    follows: str | None = None
    reason_text: bool = False


def read_subscription(
    resource: Json, settings: Settings, base_url: str, root: str = "Subscription", kept: Sequence[str] = ()
) -> Wanted:
    """What it asks for. Raises Unprocessable, with the FHIRPath, for whatever would not be obeyed.

    ``kept`` are the headers that it had before.
    """
    for where, place in list_extensible(resource):
        refuse_unknown(place, f"{root}{where}")
    if resource.get("status") not in ("requested", "off"):
        raise Unprocessable(
            "Send status requested (the server makes it active after the handshake) or off", (f"{root}.status",)
        )
    channel = resource["channel"]
    if resource["criteria"].startswith(CRITERIA):
        return read_compact(resource, settings, root, kept)
    if is_search(resource["criteria"]):
        return read_classic(resource, settings, base_url, root, kept)
    topic = find_topic(resource["criteria"], f"{root}.criteria")
    content = read_content(channel, f"{root}.channel.payload")
    check_channel(channel, content, settings, f"{root}.channel")
    texts = [each.get("valueString", "") for each in extensions(resource, "_criteria", FILTER_CRITERIA)]
    if len(texts) > MOST_FILTERS:
        refuse(f"{root}.criteria", f"There are more than {MOST_FILTERS} filters")
    filters = [
        each
        for text in texts
        for each in parse_filter(text, topic.resource_type, settings, base_url, f"{root}.criteria.extension")
    ]
    return Wanted(
        resource["status"],
        channel["endpoint"],
        [topic.name],
        [topic.resource_type],
        filters,
        content,
        read_payload(channel),
        read_headers(channel.get("header", []), kept, f"{root}.channel.header"),
        read_terms(resource, settings, root, beats=channel["type"] == "rest-hook"),
    )


def read_classic(resource: Json, settings: Settings, base_url: str, root: str, kept: Sequence[str]) -> Wanted:
    """What classic criteria ask for (R4 Subscription): without a payload an empty POST, else the resource by PUT."""
    name, _ = parse_criteria(resource["criteria"], settings, base_url, f"{root}.criteria")
    channel = resource["channel"]
    if channel.get("type") != "rest-hook":
        refuse(f"{root}.channel.type", "Criteria that are a search go by rest-hook; by e-mail topics are told")
    if extensions(resource, "_criteria", FILTER_CRITERIA) or extensions(channel, "_payload", PAYLOAD_CONTENT):
        refuse(f"{root}.criteria", "Filters and payload content go with a topic, not with a search")
    check_rest_hook({"payload": FHIR_JSON, **channel}, FHIR_JSON, settings, f"{root}.channel")
    return Wanted(
        resource["status"],
        channel["endpoint"],
        [RESOURCE_VERSION],
        [name],
        [],
        "full-resource" if "payload" in channel else "empty",
        FHIR_JSON,
        read_headers(channel.get("header", []), kept, f"{root}.channel.header"),
        read_terms(resource, settings, root, beats=False),
        resource["criteria"],
    )


def read_compact(resource: Json, settings: Settings, root: str, kept: Sequence[str]) -> Wanted:
    """What the Subscription of a compact webhook asks for (``write_criteria``)."""
    mark, _, asked = resource["criteria"].partition("?events=")
    if mark != CRITERIA:
        refuse(f"{root}.criteria", f"A compact webhook is {CRITERIA}?events= and names of events, comma-separated")
    names, reason_text = asked.removesuffix(REASON_TEXT), asked.endswith(REASON_TEXT)
    try:
        topics = check_topics(names.split(","), reason_text=reason_text)
    except Invalid as error:
        raise Unprocessable(error.diagnostics, (f"{root}.criteria",)) from error
    channel = resource["channel"]
    check_channel(channel, None, settings, f"{root}.channel")
    if extensions(resource, "_criteria", FILTER_CRITERIA) or extensions(channel, "_payload", PAYLOAD_CONTENT):
        refuse(f"{root}.criteria", "A compact webhook has neither filters nor payload content")
    headers = read_headers(channel.get("header", []), kept, f"{root}.channel.header")
    terms = read_terms(resource, settings, root, beats=False)
    types = sorted({BY_NAME[each].resource_type for each in topics})
    return Wanted(
        resource["status"],
        channel["endpoint"],
        topics,
        types,
        [],
        None,
        COMPACT,
        headers,
        terms,
        reason_text=reason_text,
    )


def refuse(where: str, diagnostics: str) -> None:
    """Raises NotOffered for what is understood, but not offered."""
    raise NotOffered(diagnostics, (where,))


def find_topic(criteria: str, where: str) -> Topic:
    canonical, _, version = criteria.partition("|")
    topic = BY_CANONICAL.get(canonical)
    if topic is None:
        refuse(where, f"There is no topic {canonical!r}; there are: {', '.join(BY_CANONICAL)}")
    topic = BY_CANONICAL[canonical]
    if criteria not in (canonical, f"{canonical}|{topic.version}"):
        refuse(where, f"The topic {canonical} is here in version {topic.version}, not {version!r}")
    return topic


def check_channel(channel: Json, content: str | None, settings: Settings, where: str) -> None:
    """``content`` is None for a compact webhook, which goes by rest-hook alone."""
    match channel.get("type"):
        case "rest-hook":
            check_rest_hook(channel, COMPACT if content is None else FHIR_JSON, settings, where)
        case "email" if content is not None:
            check_mail_channel(channel, content, settings, where)
        case other:
            refuse(f"{where}.type", f"The channel {other} is not offered; there are: rest-hook, email")


def check_rest_hook(channel: Json, payload: str, settings: Settings, where: str) -> None:
    if not isinstance(channel.get("endpoint"), str):
        raise Unprocessable("A rest-hook needs an endpoint", (f"{where}.endpoint",))
    check_endpoint(channel["endpoint"], settings)
    if channel.get("payload") != payload:
        refuse(f"{where}.payload", f"The payload is {payload}, not {channel.get('payload')!r}; XML is not sent yet")


def read_content(channel: Json, where: str) -> str:
    found = [each.get("valueCode") for each in extensions(channel, "_payload", PAYLOAD_CONTENT)]
    if len(found) != 1 or found[0] not in CONTENTS:
        asked = ", ".join(str(each) for each in found) or "nothing"
        refuse(where, f"The extension backport-payload-content says {', '.join(CONTENTS)}, not {asked}")
    return str(found[0])


def extensions(element: Json, name: str | None, url: str) -> list[Json]:
    """The extensions of this url: the element's own, or those of its primitive ``name`` (``_criteria``)."""
    holder = element if name is None else element.get(name) or {}
    return [each for each in holder.get("extension", ()) if each.get("url") == url]


def list_extensible(resource: Json) -> Iterator[tuple[str, Json]]:
    """(FHIRPath below the resource, element) of each place where a guide puts extensions."""
    yield "", resource
    for place, element in (("", resource), (".channel", resource["channel"])):
        for name, value in element.items():
            if name.startswith("_") and isinstance(value, dict):
                yield f"{place}.{name[1:]}", value
    yield ".channel", resource["channel"]


OFFERED: Mapping[str, Collection[str]] = {
    ".criteria": (FILTER_CRITERIA,),
    ".channel.payload": (PAYLOAD_CONTENT,),
    ".channel": VALUES,
}


def refuse_unknown(element: Json, where: str) -> None:
    """Raises Unprocessable for an extension that asks for what is not offered here."""
    path = next((path for path in OFFERED if where.endswith(path)), "")
    for each in element.get("extension", ()):
        url = str(each.get("url"))
        if url.startswith(MEANINGFUL) and url not in OFFERED.get(path, ()):
            refuse(f"{where}.extension", f"The extension {url} is not offered here")
