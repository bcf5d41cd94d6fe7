"""The identity providers that the operator trusts, as the file of HANDOFF_IDENTITY_PROVIDERS describes them."""

import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from app.access.clients import CLIENT_ID, ORGANIZATION_ID
from app.access.scopes import parse_scopes
from app.core.caller import Role
from app.core.errors import HandoffError
from app.core.outbound_url import find_fault
from app.core.settings import Settings

Text = Annotated[str, Field(min_length=1, max_length=500)]


class Described(BaseModel):
    """Members in camelCase; a member that is not known is refused."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class Acting(Described):
    """For which organisation, as what, with which scopes somebody acts."""

    organization: str = Field(pattern=f"^{ORGANIZATION_ID.pattern}$")
    role: Role
    scopes: str

    @model_validator(mode="after")
    def check_scopes(self) -> Self:
        """Refuses scopes that are not offered."""
        try:
            parse_scopes(self.scopes)
        except HandoffError as error:
            raise ValueError(error.diagnostics) from error
        return self


class Standing(Described):
    """A registered client that a token stands for: what it may do is told by the register."""

    client: str = Field(pattern=f"^{CLIENT_ID.pattern}$")


class SignIn(Described):
    """How people sign in: our client there, and who is what by the values of a claim of theirs."""

    client_id: Text
    claim: Text = "sub"
    persons: dict[Text, Acting]
    scope: Text = "openid profile"


class Provider(Described):
    """One OpenID Connect provider. Its tokens for ``audience`` count in place of ours, by the values of ``claim``."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,32}$")
    issuer: Text
    audience: Text | None = None
    claim: Text = "sub"
    callers: dict[Text, Standing | Acting] = {}
    sign_in: SignIn | None = None

    @model_validator(mode="after")
    def check_audience(self) -> Self:
        """Refuses callers without an audience: a token for somebody else would count."""
        if bool(self.callers) != (self.audience is not None):
            raise ValueError("callers and audience go together")
        return self


PROVIDERS = TypeAdapter(tuple[Provider, ...])


def load_providers(settings: Settings) -> tuple[Provider, ...]:
    """Those of the file. Raises HandoffError where it cannot be read or says what cannot be."""
    path: Path | None = settings.identity_providers
    if path is None:
        return ()
    try:
        providers = PROVIDERS.validate_python(json.loads(path.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise HandoffError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (OSError, ValueError) as error:
        raise HandoffError(f"{path} cannot be read as JSON: {error}") from error
    for each in providers:
        if fault := find_fault(each.issuer, settings, "The issuer"):
            raise HandoffError(f"{path}: {each.name}: {fault}")
    for of in ("name", "issuer"):
        if len({getattr(each, of) for each in providers}) < len(providers):
            raise HandoffError(f"{path}: two providers have one {of}")
    if sum(each.sign_in is not None for each in providers) > 1:
        raise HandoffError(f"{path}: people sign in by one provider")
    return providers
