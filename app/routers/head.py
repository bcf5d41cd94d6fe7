"""Answers HEAD as GET without the body, at every address (RFC 9110, 9.3.2; R4 http, 3.1.0.1.3)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Middleware around everything. To see that something is there is to read it: the audit trail has a read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            bare = {"body": b""} if message["type"] == "http.response.body" else {}
            await send({**message, **bare})

        await self.app({**scope, "method": "GET"}, receive, send_head)
