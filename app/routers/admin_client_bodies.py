"""The JSON that the operator keeps the register of clients by: what is sent, what is answered."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from app.access.clients import RegisteredClient
from app.core.caller import Role
from app.fhir.references import ID
from app.interactions import clients
from app.routers.admin_bodies import Answer, Body

Json = dict[str, Any]

KEY = "A public key as a JWK (RFC 7517): EC P-384 for ES384, or RSA of 2048 to 4096 bits for RS384"
RATE = "Requests a second of one web process; null for HANDOFF_RATE_LIMIT"


class NewClient(Body):
    """A client to register: with a public key, or with the URL of its keys."""

    id: str = Field(description="Its client_id: letters, digits, dots, underscores and hyphens")
    organization: str = Field(pattern=f"^Organization/{ID.pattern}$", description="Whom it acts for; made if missing")
    role: Role
    scopes: str = Field(description="SMART v2 scopes, such as system/Task.rus system/Patient.rs")
    key: Json | None = Field(default=None, description=KEY)
    jwks_url: str | None = Field(default=None, description="Where its public keys are (a JWK Set)")
    server_makes_tasks: bool = Field(default=False, description="Whether the server makes the Task of a bare request")
    rate_per_second: float | None = Field(default=None, gt=0, le=1_000_000, strict=False, description=RATE)

    def read(self) -> clients.NewClient:
        """What the interaction takes."""
        return clients.NewClient(
            self.id,
            self.organization,
            self.role,
            self.scopes,
            self.server_makes_tasks,
            self.key,
            self.jwks_url,
            self.rate_per_second,
        )


class ChangedClient(Body):
    """What is to be another; what is left out stays as it is."""

    role: Role | None = None
    scopes: str | None = Field(default=None, min_length=1)
    server_makes_tasks: bool | None = None
    rate_per_second: float | None = Field(
        default=None, ge=0, le=1_000_000, strict=False, description="0 for HANDOFF_RATE_LIMIT"
    )

    def read(self) -> clients.Change:
        """What the interaction takes."""
        return clients.Change(self.role, self.scopes, self.server_makes_tasks, self.rate_per_second)


class NewKey(Body):
    """A key more."""

    key: Json = Field(description=KEY)


class KeysAt(Body):
    """Where the keys are."""

    jwks_url: str = Field(description="The address of a JWK Set, https")


class Client(Answer):
    """A registered client."""

    id: str
    organization: str
    role: Role
    scopes: str
    server_makes_tasks: bool
    keys: list[Json] = Field(description="Its public keys; none where they are at jwksUrl")
    jwks_url: str | None
    rate_per_second: float | None = Field(description="Its own; null where HANDOFF_RATE_LIMIT holds")
    created_at: datetime
    disabled_at: datetime | None = Field(description="Since when it gets no tokens; null for one that may call")
    last_token_at: datetime | None = Field(description="When it last got a token, to the minute")

    @classmethod
    def show(cls, client: RegisteredClient) -> Self:
        return cls(
            id=client.id,
            organization=f"Organization/{client.organization}",
            role=client.role,
            scopes=client.scopes,
            server_makes_tasks=client.server_makes_tasks,
            keys=list(client.keys),
            jwks_url=client.jwks_url,
            rate_per_second=client.rate,
            created_at=client.created_at,
            disabled_at=client.disabled_at,
            last_token_at=client.last_token_at,
        )


class Clients(Answer):
    """The registered clients, by name."""

    clients: list[Client]
