"""batch: every entry by itself, each with its own answer (R4 http, 3.1.0.11.1)."""

import asyncio
import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from app.audit.access import entry_under_way, note_interaction, note_recorded
from app.audit.record import record_access
from app.core.caller import Caller
from app.core.errors import HandoffError
from app.interactions.answers import EntryAnswer
from app.interactions.entries import check_bundle, find_target
from app.interactions.hub import Hub
from app.interactions.transaction import run_entries

logger = logging.getLogger("handoff")


async def run_batch(hub: Hub, caller: Caller, bundle: dict[str, Any], *, lenient: bool = False) -> list[EntryAnswer]:
    """One answer for each entry, in their order; one that fails touches no other. ``lenient`` is for its searches.

    Each entry is a transaction of one: what it may do, and how it fails, is the same.
    """
    note_interaction("batch")
    answers: list[EntryAnswer] = []
    refused = []
    for index, entry in enumerate(check_bundle(bundle, hub.settings)):
        try:
            answers += await run_entries(hub, caller, [entry], index, lenient=lenient)
        except HandoffError as error:
            answers.append(answer_error(error))
            refused.append(record_refusal(hub, entry, error))
        except Exception as error:  # noqa: BLE001 -- what the entries before it have done must be told
            # Its kind alone: its text may hold a patient's data.
            logger.error("batch entry %d: %s", index, type(error).__name__)
            failure = HandoffError("Something went wrong on our side; it has been logged")
            answers.append(answer_error(failure))
            refused.append(record_refusal(hub, entry, failure))
    await asyncio.gather(*refused)
    if answers:
        note_recorded()
    return answers


async def record_refusal(hub: Hub, entry: dict[str, Any], error: HandoffError) -> None:
    """Records an entry that failed: it is an access of its own."""
    request = entry["request"]
    pairs = parse_qsl(request["url"].partition("?")[2], keep_blank_values=True)
    with entry_under_way(find_target(request, hub.base_url), pairs) as access:
        access.reason = error.code
        await record_access(hub.trail, access, error.status)


def answer_error(error: HandoffError) -> EntryAnswer:
    """The answer of an entry that failed."""
    return EntryAnswer(f"{error.status} {HTTPStatus(error.status).phrase}", issues=error.all_issues())
