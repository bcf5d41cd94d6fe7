"""JSON documents that others publish, such as key sets: fetched by the guarded client, kept as their headers say."""

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from app.core.addresses import parse_networks
from app.core.outbound import Answer, Outbound, OutboundFailure, open_outbound
from app.core.settings import Settings

logger = logging.getLogger("handoff.access")

Json = dict[str, Any]

LARGEST = 32_768
PATIENCE = 5.0
CONNECT_PATIENCE = 2.0
CONNECTIONS = 16
MOST = 1_000
"""Documents kept at once; they are named by the operator's own registry and settings."""
FRESH, SHORTEST, LONGEST = 300.0, 30.0, 3_600.0
"""Seconds for which a document counts: where its headers say nothing, and the bounds of what they may say."""
ANEW_AFTER = 30.0
"""Seconds before a document is fetched once more while it is fresh, because something is not in it."""
REST = 5.0
"""Seconds for which a failure stands: who asks meanwhile costs the other side nothing."""


@dataclass
class Kept:
    """One document: ``content`` counts until ``fresh_until``; the times are those of the clock."""

    content: Json | None = None
    fresh_until: float = float("-inf")
    asked_at: float = float("-inf")
    failure: OutboundFailure | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class RemoteDocuments:
    """The documents of one process. ``clock`` tells seconds that only grow."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._stack = AsyncExitStack()
        self._client: Outbound | None = None

    async def close(self) -> None:
        """Ends its connections."""
        await self._stack.aclose()

    async def read(self, url: str, *, anew: bool = False) -> Json:
        """The JSON object at a URL, kept for as long as its headers say. Raises OutboundFailure.

        ``anew`` fetches it once more where that was not done just now.
        """
        kept = self._kept.setdefault(url, Kept())
        self._kept.move_to_end(url)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)
        wanted_at = self._clock()
        async with kept.lock:  # of many that want it at once, one fetches
            now = self._clock()
            recent = kept.asked_at >= wanted_at or now - kept.asked_at < ANEW_AFTER
            if kept.content is not None and now < kept.fresh_until and (recent or not anew):
                return kept.content
            if kept.failure is not None and now - kept.asked_at < REST:
                raise kept.failure
            return await self._fetch(url, kept)

    async def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One request by the guarded client. Raises OutboundFailure."""
        if self._client is None:
            proxy = self._settings.webhook_proxy
            self._client = await self._stack.enter_async_context(
                open_outbound(
                    parse_networks(self._settings.webhook_allowed_networks),
                    CONNECTIONS,
                    connect_seconds=CONNECT_PATIENCE,
                    proxy=proxy.get_secret_value() if proxy else None,
                    largest=LARGEST,
                )
            )
        return await self._client.request(method, url, body, headers, PATIENCE)

    async def _fetch(self, url: str, kept: Kept) -> Json:
        kept.asked_at, kept.failure = self._clock(), None
        try:
            if not url.startswith("https://") and not self._settings.webhook_allow_http:
                raise OutboundFailure("it is not https")
            answer = await self.send("GET", url, b"", {"Accept": "application/json"})
            content = read_object(answer)
        except OutboundFailure as error:
            logger.warning("A document of keys cannot be fetched: %s", error.diagnostics)
            kept.failure = error
            raise
        kept.content = content
        kept.fresh_until = self._clock() + find_freshness(answer.headers)
        return content


def read_object(answer: Answer) -> Json:
    """The JSON object that was answered. Raises OutboundFailure for anything else, a redirect too."""
    if answer.status != 200:
        raise OutboundFailure(f"answered {answer.status}")
    try:
        content = json.loads(answer.text)
    except (ValueError, RecursionError) as error:
        raise OutboundFailure(f"what came is no JSON, or longer than {LARGEST} bytes") from error
    if not isinstance(content, dict):
        raise OutboundFailure("what came is no JSON object")
    return content


def find_freshness(headers: Mapping[str, str]) -> float:
    """For how many seconds an answer counts (RFC 9111, 4.2.1), within our bounds."""
    directives = {
        name.strip().lower(): value.strip().strip('"')
        for name, _, value in (each.partition("=") for each in headers.get("cache-control", "").split(","))
    }
    if directives.keys() & {"no-store", "no-cache"}:
        return SHORTEST
    told = directives.get("max-age", "")
    if told.isascii() and told.isdigit():
        age = headers.get("age", "")
        seconds = float(told[:9]) - float(age[:9] if age.isascii() and age.isdigit() else 0)
    elif "expires" in headers:
        seconds = count_seconds(headers.get("date", ""), headers["expires"])
    else:
        seconds = FRESH
    return min(max(seconds, SHORTEST), LONGEST)


def count_seconds(since: str, until: str) -> float:
    """From one HTTP date to another; 0 where one of them is none, which means expired (RFC 9111, 5.3)."""
    try:
        return (parsedate_to_datetime(until) - parsedate_to_datetime(since)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0


async def find_keys(documents: RemoteDocuments, url: str, kid: str) -> list[Json]:
    """The keys with this ``kid`` in the key set at a URL, which is fetched once more where there is none (RFC 7517, 5).

    Raises OutboundFailure.
    """
    for anew in (False, True):
        keys = (await documents.read(url, anew=anew)).get("keys")
        listed = keys if isinstance(keys, list) else []
        found = [each for each in listed if isinstance(each, dict) and each.get("kid") == kid]
        if found:
            return found
    return []
