"""batch: every entry by itself, each with its own answer (R4 http, 3.1.0.11.1)."""

from http import HTTPStatus
from typing import Any

from app.core.caller import Caller
from app.core.errors import HandoffError
from app.interactions.answers import EntryAnswer
from app.interactions.entries import check_bundle
from app.interactions.hub import Hub
from app.interactions.transaction import run_entries


async def run_batch(hub: Hub, caller: Caller, bundle: dict[str, Any]) -> list[EntryAnswer]:
    """One answer for each entry, in their order; one that fails touches no other.

    Each entry is a transaction of one: what it may do, and how it fails, is the same.
    """
    answers = []
    for index, entry in enumerate(check_bundle(bundle, hub.settings)):
        try:
            answers += await run_entries(hub, caller, [entry], index)
        except HandoffError as error:
            status = f"{error.status} {HTTPStatus(error.status).phrase}"
            answers.append(EntryAnswer(status, issues=error.all_issues()))
    return answers
