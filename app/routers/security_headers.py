"""Puts the headers on every answer that keep a browser from doing more with it than we mean (OWASP, Secure Headers)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}
"""An answer that has one of these itself keeps its own: the pages of the documentation, a Binary's content."""
ONLY_TLS = {"Strict-Transport-Security": "max-age=31536000"}
"""Where clients reach the server by https; a browser then never tries http again (RFC 6797)."""


class SecurityHeaders:
    """Middleware around everything, so that what the framework refuses and a bug of ours have them too."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self.app = app
        told = ALWAYS | ONLY_TLS if tls else ALWAYS
        self.headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message["headers"]
                names = {name for name, _ in own}
                message["headers"] = [*own, *(each for each in self.headers if each[0] not in names)]
            await send(message)

        await self.app(scope, receive, send_guarded)
