"""The OpenAPI document and the page that shows it; open to everyone, nothing from elsewhere."""

from importlib import resources

from fastapi import APIRouter, Request, Response

from app.core.errors import NotFound
from app.routers.openapi.document import Document, load_document
from app.routers.openapi.page import show_index, show_schema, show_tag
from app.routers.requests import find_hub

router = APIRouter(tags=["Documentation"])

KEPT = "public, max-age=300"
PAGE_HEADERS = {
    "Cache-Control": KEPT,
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
}


def find_document(request: Request) -> Document:
    """The document of this server; the address of its settings, or one relative to where it is read."""
    return load_document(request.app.state.settings.public_url)


# These are plain functions, which the framework runs in a thread: the first call builds the document.
@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    document = find_document(request)
    headers = {"Cache-Control": KEPT, "ETag": document.etag}
    if request.headers.get("if-none-match") == document.etag:
        return Response(None, 304, headers)
    return Response(document.body, 200, headers, "application/json")


@router.get("/docs")
def docs(request: Request, tag: str | None = None, schema: str | None = None, q: str = "") -> Response:
    """The document as a page: all of it, one tag, one schema, or what a search finds."""
    content = find_document(request).content
    if tag is not None:
        page = show_tag(content, tag, find_hub(request).base_url.removesuffix("/fhir"))
    elif schema is not None:
        page = show_schema(content, schema)
    else:
        page = show_index(content, q)
    if page is None:
        raise NotFound("The documentation has no such page")
    return Response(page, 200, PAGE_HEADERS, "text/html")


@router.get("/docs/page.css")
def style() -> Response:
    """How the page looks."""
    text = resources.files("app.routers.openapi").joinpath("page.css").read_text("utf-8")
    return Response(text, 200, {"Cache-Control": KEPT}, "text/css")
