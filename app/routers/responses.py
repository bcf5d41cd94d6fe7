"""Writes answers: resources from stored text, Bundles of entries, OperationOutcomes."""

from collections.abc import Sequence
from email.utils import format_datetime

from fastapi import Request, Response

from app.access.redisclosure import notify_recipient
from app.access.release import release
from app.core.caller import Scope
from app.core.errors import HandoffError, Issue
from app.fhir.bundle_text import quote
from app.fhir.json_text import STORED_LIMITS, dump, parse
from app.fhir.outcome import operation_outcome
from app.fhir.subset import Subset, subset_text
from app.interactions.answers import EntryAnswer
from app.interactions.writing import Written
from app.routers.requests import Preferences, is_known
from app.store.rows import Stored

MEDIA = "application/fhir+json"


PRIVATE = {"Cache-Control": "private, no-cache"}


def answer_text(text: str, status: int, headers: dict[str, str], *, pretty: bool) -> Response:
    """An answer of FHIR JSON; kept by no shared cache."""
    headers = {**PRIVATE, **headers}
    body = dump(parse(text.encode(), STORED_LIMITS), pretty=True) if pretty else text
    return Response(body.encode(), status, headers, MEDIA)


def answer_poll(request: Request, text: str, tag: str | None, *, pretty: bool) -> Response:
    """A Bundle; with ``tag``, its ETag without quotes, 304 to whoever has it already."""
    if tag is None:
        return answer_text(text, 200, {}, pretty=pretty)
    headers = {"ETag": f'W/"{tag}"'}
    if is_known(request, tag):
        return Response(None, 304, {**PRIVATE, **headers})
    return answer_text(text, 200, headers, pretty=pretty)


def version_headers(stored: Stored) -> dict[str, str]:
    """ETag and Last-Modified of a version."""
    return {
        "ETag": f'W/"{stored.version}"',
        "Last-Modified": format_datetime(stored.last_updated.replace(microsecond=0), usegmt=True),
    }


def answer_resource(
    stored: Stored, scope: Scope, subset: Subset | None, warnings: Sequence[Issue], *, pretty: bool
) -> Response:
    """A version, as read, or a part of it; with the warnings, and the one of what may not be passed on, in a Warning
    (RFC 7234, 5.5).
    """
    headers = version_headers(stored)
    if told := [f'299 - "{each.diagnostics}"' for each in (*warnings, *notify_recipient([stored], scope))]:
        headers["Warning"] = ", ".join(told)
    return answer_text(subset_text(release(stored, scope), subset), 200, headers, pretty=pretty)


def answer_written(
    written: Written,
    issues: Sequence[Issue],
    scope: Scope,
    base_url: str,
    preferences: Preferences,
    *,
    pretty: bool,
) -> Response:
    """A version just written, in the form that the caller prefers; warnings go into an OperationOutcome."""
    stored = written.stored
    headers = version_headers(stored)
    headers["Location"] = f"{base_url}/{stored.reference}/_history/{stored.version}"
    status = 201 if written.created else 200
    if preferences.answer == "minimal":
        return Response(None, status, headers)
    if preferences.answer == "OperationOutcome":
        return answer_text(outcome_text(issues), status, headers, pretty=pretty)
    return answer_text(release(stored, scope), status, headers, pretty=pretty)


def outcome_text(issues: Sequence[Issue]) -> str:
    """An OperationOutcome; where there is nothing to say, it says so."""
    if not issues:
        issues = [Issue("information", "informational", "All OK")]
    return dump(operation_outcome(issues))


def answer_entries(kind: str, answers: Sequence[EntryAnswer], *, representation: bool, pretty: bool) -> Response:
    """The Bundle that answers a batch or transaction; ``kind`` is the Bundle's type."""
    texts = [entry_text(each, representation=representation) for each in answers]
    entries = f',"entry":[{",".join(texts)}]' if texts else ""
    return answer_text(f'{{"resourceType":"Bundle","type":"{kind}"{entries}}}', 200, {}, pretty=pretty)


def entry_text(answer: EntryAnswer, *, representation: bool) -> str:
    """One entry; a write's resource only where it was preferred, what was read always."""
    response = [f'"status":{quote(answer.status)}']
    if answer.location:
        response.append(f'"location":{quote(answer.location)}')
    if answer.version is not None:
        response.append(f'"etag":"W/\\"{answer.version}\\""')
    if answer.last_modified:
        response.append(f'"lastModified":"{answer.last_modified}"')
    if answer.issues:
        response.append(f'"outcome":{outcome_text(answer.issues)}')
    shown = answer.content is not None and (representation or answer.location is None)
    resource = f'"resource":{answer.content},' if shown else ""
    return f'{{{resource}"response":{{{",".join(response)}}}}}'


def answer_error(request: Request, error: HandoffError) -> Response:
    """The OperationOutcome of an error."""
    return answer_text(outcome_text(error.all_issues()), error.status, dict(error.headers), pretty=False)
