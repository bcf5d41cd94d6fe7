"""The one tree of errors; each knows its HTTP status and its FHIR issue code.

HandoffError                      500 exception
├── Invalid                       400 invalid        the request itself is malformed
│   ├── TooLarge                  413 too-long
│   ├── AddressTooLong            414 too-long
│   ├── TooCostly                 400 too-costly     more than one answer may hold
│   └── Unsupported               400 not-supported  understood, but not offered here
├── Unprocessable                 422 processing     well-formed, but breaks a rule of FHIR or of the profile
│   ├── BusinessRule              422 business-rule  well-formed FHIR, but breaks a rule of the referral
│   └── NotOffered                422 not-supported  well-formed FHIR that asks for what is not offered here
├── Unauthenticated               401 login
├── Forbidden                     403 forbidden
├── NotFound                      404 not-found
│   └── Gone                      410 deleted
├── MethodNotAllowed              405 not-supported
├── NotAcceptable                 406 not-supported
├── Conflict                      409 conflict
│   └── LostRace                  409 conflict       another writer was first; the transaction is tried again
├── PreconditionFailed            412 conflict       If-Match, If-None-Exist
│   └── MultipleMatches           412 multiple-matches
├── UnsupportedMedia              415 not-supported
├── TooManyRequests               429 throttled
├── Unavailable                   503 transient
└── AudienceBreach                500 exception      a resource was about to leave to one outside its audience
"""

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """One entry of OperationOutcome.issue (R4 OperationOutcome).

    ``code`` is from http://hl7.org/fhir/issue-type; ``expression`` holds FHIRPaths such as
    ``Task.input[0].type``.
    """

    severity: Severity
    code: str
    diagnostics: str
    expression: tuple[str, ...] = ()


@dataclass(eq=False)
class HandoffError(Exception):
    """The root: carries the issues that the answer's OperationOutcome will list."""

    diagnostics: str
    expression: tuple[str, ...] = ()
    issues: tuple[Issue, ...] = field(default=())
    headers: dict[str, str] = field(default_factory=dict)

    status = 500
    code = "exception"

    def __post_init__(self) -> None:
        super().__init__(self.diagnostics)

    def all_issues(self) -> tuple[Issue, ...]:
        """The issues given, or one made from ``diagnostics``."""
        return self.issues or (Issue("error", self.code, self.diagnostics, self.expression),)


class Invalid(HandoffError):
    status = 400
    code = "invalid"


class TooLarge(Invalid):
    status = 413
    code = "too-long"


class AddressTooLong(Invalid):
    status = 414
    code = "too-long"


class TooCostly(Invalid):
    code = "too-costly"


class Unsupported(Invalid):
    code = "not-supported"


class Unprocessable(HandoffError):
    status = 422
    code = "processing"


class BusinessRule(Unprocessable):
    code = "business-rule"


class NotOffered(Unprocessable):
    code = "not-supported"


class Unauthenticated(HandoffError):
    status = 401
    code = "login"


class Forbidden(HandoffError):
    status = 403
    code = "forbidden"


class NotFound(HandoffError):
    status = 404
    code = "not-found"


class Gone(NotFound):
    status = 410
    code = "deleted"


class MethodNotAllowed(HandoffError):
    status = 405
    code = "not-supported"


class NotAcceptable(HandoffError):
    status = 406
    code = "not-supported"


class Conflict(HandoffError):
    status = 409
    code = "conflict"


class LostRace(Conflict):
    pass


class PreconditionFailed(HandoffError):
    status = 412
    code = "conflict"


class MultipleMatches(PreconditionFailed):
    code = "multiple-matches"


class UnsupportedMedia(HandoffError):
    status = 415
    code = "not-supported"


class TooManyRequests(HandoffError):
    status = 429
    code = "throttled"


class Unavailable(HandoffError):
    status = 503
    code = "transient"


class AudienceBreach(HandoffError):
    pass
