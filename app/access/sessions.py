"""People who are signed in: a random value in a cookie, its hash in the database, who they are by the settings."""

import base64
import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256

import asyncpg

from app.access.clients import reaching_database
from app.access.providers import Acting, Provider
from app.access.scopes import parse_scopes
from app.core.caller import Caller
from app.core.secrets import derive_key

DEMONSTRATION = "demonstration"
PURGED_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in: ``issuer`` says who they are, ``claim`` is the value by which the settings say what."""

    issuer: str
    subject: str
    claim: str
    name: str


class Sessions:
    """The sessions of one database. ``minutes`` is how long one lasts, whatever is done meanwhile."""

    def __init__(
        self, pool: asyncpg.Pool, secret_key: bytes, minutes: int, persons: dict[str, dict[str, Acting]]
    ) -> None:
        self._pool = pool
        self._key = derive_key(secret_key, "cross-site request forgery")
        self._minutes = minutes
        self._persons = persons

    def recognize(self, person: Person) -> Caller | None:
        """The caller that a person is; None for one who has no place here (any more)."""
        acting = self._persons.get(person.issuer, {}).get(person.claim)
        if acting is None:
            return None
        client_id = f"person:{person.subject}"
        return Caller(client_id, acting.organization, acting.role, parse_scopes(acting.scopes))

    async def open(self, person: Person, replaced: str | None) -> str:
        """A new session in place of the browser's last one; the value for its cookie. Raises Unavailable."""
        value = secrets.token_urlsafe(32)
        with reaching_database():
            if replaced:
                await self.end(replaced)
            await self._pool.execute(
                """INSERT INTO signed_in (id, issuer, subject, claim, name, expires_at)
                VALUES ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(mins => $6))""",
                hash_value(value),
                person.issuer,
                person.subject,
                person.claim,
                person.name,
                self._minutes,
            )
            await self._pool.execute(
                """DELETE FROM signed_in WHERE id IN (
                    SELECT id FROM signed_in WHERE expires_at < clock_timestamp() LIMIT $1 FOR UPDATE SKIP LOCKED)""",
                PURGED_AT_ONCE,
            )
        return value

    async def find(self, value: str) -> tuple[Person, Caller] | None:
        """Who a cookie's value stands for; None where the session has ended. Raises Unavailable."""
        with reaching_database():
            row = await self._pool.fetchrow(
                "SELECT issuer, subject, claim, name FROM signed_in WHERE id = $1 AND expires_at > clock_timestamp()",
                hash_value(value),
            )
        person = Person(*row) if row else None
        caller = self.recognize(person) if person else None
        return (person, caller) if person and caller else None

    async def end(self, value: str) -> None:
        """Ends a session. Raises Unavailable."""
        with reaching_database():
            await self._pool.execute("DELETE FROM signed_in WHERE id = $1", hash_value(value))

    def write_token(self, value: str) -> str:
        """What a page sends with each change, which another's page cannot know."""
        return base64.urlsafe_b64encode(hmac.digest(self._key, value.encode(), "sha256")).decode().rstrip("=")

    def check_token(self, value: str, given: str | None) -> bool:
        """Whether a request's token is that of its session."""
        return given is not None and hmac.compare_digest(self.write_token(value).encode(), given.encode())


def hash_value(value: str) -> bytes:
    """What is kept of a cookie's value: who reads the table signs in as nobody."""
    return sha256(value.encode(errors="replace")).digest()


def list_persons(providers: tuple[Provider, ...], demonstration: dict[str, Acting]) -> dict[str, dict[str, Acting]]:
    """By issuer and value of the claim, as what somebody acts."""
    found = {each.issuer: each.sign_in.persons for each in providers if each.sign_in}
    return {**found, DEMONSTRATION: demonstration} if demonstration else found
