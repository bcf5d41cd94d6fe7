"""Answers' Bundles, put together from stored text without parsing it."""

from collections.abc import Sequence
from json.encoder import encode_basestring


def quote(text: str) -> str:
    """A JSON string, its letters as they are."""
    return encode_basestring(text)


def search_entry(base_url: str, reference: str, content: str, mode: str) -> str:
    """One entry of a searchset; ``reference`` is Type/id, ``mode`` is match or include."""
    return f'{{"fullUrl":{quote(f"{base_url}/{reference}")},"resource":{content},"search":{{"mode":"{mode}"}}}}'


def history_entry(
    base_url: str,
    resource_type: str,
    resource_id: str,
    version: int,
    stamp: str,
    content: str | None,
    outcome: str | None = None,
) -> str:
    """One entry of a history; without ``content`` it is a deletion (R4 http, history).

    ``outcome`` is the text of an OperationOutcome about it.
    """
    method = "DELETE" if content is None else "POST" if version == 1 else "PUT"
    status = {"DELETE": "204", "POST": "201", "PUT": "200"}[method]
    url = resource_type if method == "POST" else f"{resource_type}/{resource_id}"
    resource = "" if content is None else f'"resource":{content},'
    told = "" if outcome is None else f',"outcome":{outcome}'
    return (
        f'{{"fullUrl":{quote(f"{base_url}/{resource_type}/{resource_id}")},{resource}'
        f'"request":{{"method":"{method}","url":{quote(url)}}},'
        f'"response":{{"status":"{status}","etag":"W/\\"{version}\\"","lastModified":"{stamp}"{told}}}}}'
    )


def outcome_entry(outcome: str) -> str:
    """The entry of a searchset that tells of the search itself; ``outcome`` is an OperationOutcome's text."""
    return f'{{"resource":{outcome},"search":{{"mode":"outcome"}}}}'


def bundle_text(kind: str, links: Sequence[tuple[str, str]], entries: Sequence[str], total: int | None = None) -> str:
    """A Bundle of entries that are text already; ``links`` are (relation, url)."""
    parts = [f'{{"resourceType":"Bundle","type":"{kind}"']
    if total is not None:
        parts.append(f',"total":{total}')
    if links:
        written = ",".join(f'{{"relation":"{relation}","url":{quote(url)}}}' for relation, url in links)
        parts.append(f',"link":[{written}]')
    if entries:
        parts.append(f',"entry":[{",".join(entries)}]')
    parts.append("}")
    return "".join(parts)
