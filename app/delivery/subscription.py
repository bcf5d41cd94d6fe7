"""Reads a Subscription: what is asked for, or why it is refused (Subscriptions R5 Backport, R4 Subscription)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.core.errors import Issue, Unprocessable
from app.core.settings import Settings
from app.delivery.filters import Filter, parse_filter
from app.delivery.message import FHIR_JSON
from app.delivery.telling import CONTENTS
from app.delivery.topics import BY_CANONICAL, Topic
from app.delivery.webhooks import check_endpoint

Json = dict[str, Any]

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
FILTER_CRITERIA = f"{BACKPORT}/backport-filter-criteria"
PAYLOAD_CONTENT = f"{BACKPORT}/backport-payload-content"
MAX_COUNT = f"{BACKPORT}/backport-max-count"
MEANINGFUL = (BACKPORT, "http://hl7.org/fhir/5.0/", "http://hl7.org/fhir/4.3/", "http://hl7.org/fhir/6.0/")
"""Extensions below these ask for something: one that is not offered is refused, not ignored."""

HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\x20-\x7e]*)")
OURS_TO_SET = re.compile(
    r"host|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*|webhook-.*", re.I
)
MOST_HEADERS = 20
MOST_FILTERS = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a Subscription asks for; ``status`` is requested or off."""

    status: str
    url: str
    topic: str
    filters: list[Filter]
    content: str
    headers: list[str]


def read_subscription(resource: Json, settings: Settings, base_url: str, root: str = "Subscription") -> Wanted:
    """What it asks for. Raises Unprocessable, with the FHIRPath, for whatever would not be obeyed."""
    for where, place in list_extensible(resource):
        refuse_unknown(place, f"{root}{where}")
    if resource.get("status") not in ("requested", "off"):
        raise Unprocessable(
            "Send status requested (the server makes it active after the handshake) or off", (f"{root}.status",)
        )
    if "end" in resource:
        refuse(f"{root}.end", "A Subscription does not end by itself here: delete it, or set it to off")
    topic = find_topic(resource["criteria"], f"{root}.criteria")
    channel = resource["channel"]
    check_channel(channel, f"{root}.channel")
    check_endpoint(channel["endpoint"], settings)
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
        topic.name,
        filters,
        read_content(channel, f"{root}.channel.payload"),
        read_headers(channel.get("header", []), f"{root}.channel.header"),
    )


def refuse(where: str, diagnostics: str) -> None:
    """Raises Unprocessable for what is understood, but not offered."""
    raise Unprocessable(diagnostics, (where,), (Issue("error", "not-supported", diagnostics, (where,)),))


def find_topic(criteria: str, where: str) -> Topic:
    canonical, _, version = criteria.partition("|")
    topic = BY_CANONICAL.get(canonical)
    if topic is None:
        refuse(where, f"There is no topic {canonical!r}; there are: {', '.join(BY_CANONICAL)}")
    topic = BY_CANONICAL[canonical]
    if criteria not in (canonical, f"{canonical}|{topic.version}"):
        refuse(where, f"The topic {canonical} is here in version {topic.version}, not {version!r}")
    return topic


def check_channel(channel: Json, where: str) -> None:
    if channel.get("type") != "rest-hook":
        refuse(f"{where}.type", f"The channel {channel.get('type')} is not offered; there is: rest-hook")
    if not isinstance(channel.get("endpoint"), str):
        raise Unprocessable("A rest-hook needs an endpoint", (f"{where}.endpoint",))
    if channel.get("payload") != FHIR_JSON:
        refuse(f"{where}.payload", f"The payload is {FHIR_JSON}, not {channel.get('payload')!r}")
    for each in extensions(channel, None, MAX_COUNT):
        if not isinstance(each.get("valuePositiveInt"), int):
            raise Unprocessable("backport-max-count has a valuePositiveInt", (f"{where}.extension",))
    # Each notification holds one event, so that every max-count is kept.


def read_content(channel: Json, where: str) -> str:
    found = [each.get("valueCode") for each in extensions(channel, "_payload", PAYLOAD_CONTENT)]
    if len(found) != 1 or found[0] not in CONTENTS:
        asked = ", ".join(str(each) for each in found) or "nothing"
        refuse(where, f"The extension backport-payload-content says {', '.join(CONTENTS)}, not {asked}")
    return str(found[0])


def read_headers(lines: list[Any], where: str) -> list[str]:
    """``Name: value`` each; what the server itself sets is refused."""
    if len(lines) > MOST_HEADERS:
        refuse(where, f"There are more than {MOST_HEADERS} headers")
    names = set()
    for place, line in enumerate(lines):
        found = HEADER.fullmatch(line) if isinstance(line, str) else None
        name = found[1].lower() if found else ""
        if not found or OURS_TO_SET.fullmatch(name) or name in names:
            raise Unprocessable(
                "A header is 'Name: value', once each, and none that the server sets itself", (f"{where}[{place}]",)
            )
        names.add(name)
    return [str(line) for line in lines]


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


OFFERED = {".criteria": FILTER_CRITERIA, ".channel.payload": PAYLOAD_CONTENT, ".channel": MAX_COUNT}


def refuse_unknown(element: Json, where: str) -> None:
    """Raises Unprocessable for an extension that asks for what is not offered here."""
    path = next((path for path in OFFERED if where.endswith(path)), "")
    for each in element.get("extension", ()):
        url = str(each.get("url"))
        if url.startswith(MEANINGFUL) and url != OFFERED.get(path):
            refuse(f"{where}.extension", f"The extension {url} is not offered here")
