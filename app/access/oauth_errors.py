"""What the token endpoint answers to a request that it refuses (RFC 6749, 5.2)."""

from app.core.errors import HandoffError


class OAuthRefusal(HandoffError):
    """A refusal with an error code of OAuth; ``diagnostics`` becomes its error_description."""

    status = 400
    code = "security"
    error = "invalid_request"
    reason = ""


class InvalidClient(OAuthRefusal):
    """Says the same whichever check failed (access.md, Callers); ``reason`` is for log and audit trail alone."""

    status = 401
    code = "login"
    error = "invalid_client"

    def __init__(self, reason: str) -> None:
        # RFC 9110, 15.5.2: a 401 names a challenge.
        super().__init__("Client authentication failed", headers={"WWW-Authenticate": 'Bearer realm="token"'})
        self.reason = reason


class InvalidScope(OAuthRefusal):
    error = "invalid_scope"


class UnsupportedGrantType(OAuthRefusal):
    error = "unsupported_grant_type"
