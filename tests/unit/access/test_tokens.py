"""Access tokens: what is believed, for how long, and what a change of the client does to them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import asyncpg
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from app.access import tokens
from app.access.clients import RegisteredClient
from app.access.tokens import TokenVerifier, issue_token, signing_key
from app.core.caller import Caller
from app.core.errors import Unauthenticated, Unavailable
from app.core.secrets import derive_key
from tests.waiting import until

SECRET = b"0" * 32
URL = "https://refer.example"
NOW = 1_800_000_000.0
CLIENT = RegisteredClient(
    "ehr",
    "hospital",
    "referrer",
    "system/Task.cruds system/Patient.rs",
    True,
    datetime(2026, 1, 1, tzinfo=UTC),
    None,
    (),
    None,
    None,
    None,
)


class Clients:
    """Stands for the pool: answers the query for enabled clients, once it is ``open``, and that for networks."""

    def __init__(self, *clients: RegisteredClient) -> None:
        self.clients = list(clients)
        self.networks: list[list[Any]] = []
        self.queries = self.answered = 0
        self.broken: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator["Clients"]:
        yield self

    async def fetch(self, query: str) -> list[list[Any]]:
        if "network_member" in query:
            return self.networks
        self.queries += 1
        await self.open.wait()
        self.answered += 1
        if self.broken:
            raise self.broken
        names = ("id", "organization", "role", "scopes", "server_makes_tasks", "rate")
        return [[getattr(each, name) for name in names] for each in self.clients if each.disabled_at is None]


class Clock:
    """Both clocks at once, moved by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Desk:
    """A verifier with its clock and its clients."""

    def __init__(self, *clients: RegisteredClient) -> None:
        self.clock = Clock()
        self.clients = Clients(*(clients or (CLIENT,)))
        pool = cast(asyncpg.Pool, self.clients)
        self.verifier = TokenVerifier(SECRET, pool, URL, clock=self.clock, monotonic=self.clock)

    async def ask(self, token: str) -> Caller:
        return await self.verifier.authenticate(f"Bearer {token}")

    async def has_asked(self) -> bool:
        return self.clients.queries > 0


def issue(client: RegisteredClient = CLIENT, scope: str = "system/Task.rs", lifetime: int = 300) -> str:
    return issue_token(SECRET, URL, client, scope, lifetime, NOW)


def change(**fields: Any) -> RegisteredClient:
    return RegisteredClient(**{name: fields.get(name, getattr(CLIENT, name)) for name in CLIENT.__slots__})


async def test_finds_the_caller() -> None:
    caller = await Desk().ask(issue())
    assert caller == Caller("ehr", "hospital", "referrer", (("Task", frozenset("rs")),), True)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_the_scheme_is_of_any_case(scheme: str) -> None:
    assert await Desk().verifier.authenticate(f"{scheme} {issue()}")


async def test_no_token_gets_a_challenge_without_an_error() -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await Desk().verifier.authenticate(None)
    assert refusal.value.headers == {"WWW-Authenticate": 'Bearer realm="fhir"'}


GOOD = {
    "iss": URL,
    "aud": f"{URL}/fhir",
    "sub": "ehr",
    "iat": int(NOW),
    "exp": int(NOW) + 300,
    "jti": "1",
    "scope": "system/Task.rs",
    "org": "hospital",
    "role": "referrer",
    "tasks": True,
}


def forge(key: OctKey | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
    body = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
    return jwt.encode({"alg": "HS256", "typ": "at+jwt", **(header or {})}, body, key or signing_key(SECRET))


ANY_ALGORITHM = OctKey.import_key(derive_key(SECRET, "access token"))

FORGED = {
    "nothing": "",
    "words": "not a token",
    "dots": "..",
    "none": "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.",
    "the secret key itself": forge(OctKey.import_key(SECRET)),
    "a key for another purpose": forge(OctKey.import_key(derive_key(SECRET, "webhook secret"))),
    "a type for another purpose": forge(header={"typ": "JWT"}),
    "another algorithm": jwt.encode({"alg": "HS512", "typ": "at+jwt"}, GOOD, ANY_ALGORITHM, ["HS512"]),
    "another issuer": forge(iss="https://other.example"),
    "no issuer": forge(iss=None),
    "another audience": forge(aud="https://other.example/fhir"),
    "the audience of the token endpoint": forge(aud=f"{URL}/oauth/token"),
    "no audience": forge(aud=None),
    "no subject": forge(sub=None),
    "a subject that is no text": forge(sub=7),
    "no expiry": forge(exp=None),
    "an expiry that is no time": forge(exp="tomorrow"),
    "expired this second": forge(exp=int(NOW)),
    "expired": forge(exp=int(NOW) - 1),
    "issued in the future": forge(iat=int(NOW) + 60),
    "another organisation": forge(org="elsewhere"),
    "another role": forge(role="admin"),
    "no role": forge(role=None),
    "another client": forge(sub="stranger"),
    "scopes never granted": forge(scope="system/*.cruds"),
    "scopes of nonsense": forge(scope="everything"),
    "no scopes": forge(scope=None),
    "a longer one": issue() + "A" * 9_000,
    "cut": issue()[:-1],
    "changed": issue().replace(".", ".A", 1),
    "deep": "W1tb" * 1_000 + "." + "W1tb" * 500 + ".AAAA",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
async def test_refuses(token: str) -> None:
    desk = Desk()
    for _ in range(2):
        with pytest.raises(Unauthenticated) as refusal:
            await desk.ask(token)
        assert refusal.value.headers["WWW-Authenticate"] == 'Bearer realm="fhir", error="invalid_token"'


@pytest.mark.parametrize("header", ["", "Bearer", "Basic dXNlcjpwYXNz", "Bearer a b", "Bearer a, Bearer b", "Bearer é"])
async def test_refuses_other_headers(header: str) -> None:
    with pytest.raises(Unauthenticated):
        await Desk().verifier.authenticate(header)


async def test_a_known_token_costs_no_check_and_no_query(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, token = Desk(), issue()
    first = await desk.ask(token)
    monkeypatch.setattr(TokenVerifier, "_verify", None)
    assert all([await desk.ask(token) is first for _ in range(100)])
    assert desk.clients.queries == 1


async def test_a_known_token_expires_to_the_second() -> None:
    desk, token = Desk(), issue(lifetime=60)
    await desk.ask(token)
    desk.clock.now += 59.9
    await desk.ask(token)
    desk.clock.now += 0.1
    with pytest.raises(Unauthenticated):
        await desk.ask(token)
    assert not desk.verifier._known


async def test_known_tokens_are_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_KNOWN", 3)
    desk = Desk()
    issued = [issue() for _ in range(4)]
    for token in (*issued[:3], issued[0], issued[3]):
        await desk.ask(token)
    assert list(desk.verifier._known) == [f"Bearer {issued[n]}" for n in (2, 0, 3)]


async def test_a_token_is_known_once_however_its_header_is_spelt() -> None:
    desk, token = Desk(), issue()
    for header in (f"Bearer {token}", f"bearer   {token}", f"BEARER {token}"):
        await desk.verifier.authenticate(header)
    assert list(desk.verifier._known) == [f"Bearer {token}"]


CHANGES = {
    "disabled": [change(disabled_at=datetime(2026, 1, 2, tzinfo=UTC))],
    "deleted": [],
    "another role": [change(role="admin")],
    "another organisation": [change(organization="elsewhere")],
    "fewer scopes": [change(scopes="system/Patient.rs")],
    "makes its own tasks": [change(server_makes_tasks=False)],
}


@pytest.mark.parametrize("clients", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_of_the_client_takes_effect_within_5_seconds(clients: list[RegisteredClient]) -> None:
    desk, token = Desk(), issue()
    await desk.ask(token)
    desk.clients.clients = clients
    desk.clock.now += 4.9
    with pytest.raises(Unauthenticated):
        await desk.ask(token)


async def test_a_change_of_a_network_takes_effect_within_5_seconds() -> None:
    coordinator = change(role="coordinator")
    desk, token = Desk(coordinator), issue(coordinator)
    desk.clients.networks = [["hospital", ["clinic", "ngo"], ["ngo"]], ["other", ["clinic"], []]]
    found = await desk.verifier.join_network(await desk.ask(token))
    assert (found.network, found.acts_for) == (("clinic", "ngo"), ("ngo",))
    desk.clients.networks = []
    desk.clock.now += 4.9
    found = await desk.verifier.join_network(await desk.ask(token))
    assert (found.network, found.acts_for) == ((), ())


async def test_no_other_role_has_a_network() -> None:
    desk = Desk()
    desk.clients.networks = [["hospital", ["ngo"], ["ngo"]]]
    found = await desk.verifier.join_network(await desk.ask(issue()))
    assert (found.network, found.acts_for) == ((), ())


async def test_more_scopes_leave_a_token_as_it_was() -> None:
    desk, token = Desk(), issue()
    first = await desk.ask(token)
    desk.clients.clients = [change(scopes="system/*.cruds")]
    desk.clock.now += 5
    assert await desk.ask(token) == first


async def test_under_steady_load_the_list_is_read_behind_the_requests() -> None:
    desk, token = Desk(), issue()
    await desk.ask(token)
    desk.clock.now += 2.5
    desk.clients.open.clear()
    desk.clients.clients = []
    await desk.ask(token)

    async def is_read() -> bool:
        return desk.clients.queries == 2

    await until(is_read)
    desk.clients.open.set()

    async def is_refused() -> bool:
        try:
            await desk.ask(token)
        except Unauthenticated:
            return True
        return False

    await until(is_refused)


async def test_many_at_once_share_one_query() -> None:
    desk, token = Desk(), issue()
    desk.clients.open.clear()
    asking = [asyncio.create_task(desk.ask(token)) for _ in range(50)]
    await until(desk.has_asked)
    desk.clients.open.set()
    callers = await asyncio.gather(*asking)
    assert len(callers) == 50
    assert desk.clients.queries == 1


async def test_one_that_is_given_up_does_not_end_the_query_of_the_others() -> None:
    desk, token = Desk(), issue()
    desk.clients.open.clear()
    first, second = (asyncio.create_task(desk.ask(token)) for _ in range(2))
    await until(desk.has_asked)
    first.cancel()
    desk.clients.open.set()
    assert await second
    assert desk.clients.queries == 1


BROKEN = [OSError("gone"), TimeoutError(), asyncpg.InterfaceError("closing"), asyncpg.QueryCanceledError("slow")]


@pytest.mark.parametrize("error", BROKEN, ids=[type(each).__name__ for each in BROKEN])
async def test_without_a_database_nobody_is_let_in(error: Exception) -> None:
    desk, token = Desk(), issue()
    desk.clients.broken = error
    with pytest.raises(Unavailable):
        await desk.ask(token)
    desk.clients.broken = None
    assert await desk.ask(token)
    desk.clients.broken = error
    desk.clock.now += 3
    assert await desk.ask(token)

    async def has_failed() -> bool:
        return desk.clients.answered == 3

    await until(has_failed)
    desk.clock.now += 3
    with pytest.raises(Unavailable):
        await desk.ask(token)


async def test_a_query_that_takes_too_long_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.access.client_watch.PATIENCE", 0.01)
    desk = Desk()
    desk.clients.open.clear()
    with pytest.raises(Unavailable):
        await desk.ask(issue())
