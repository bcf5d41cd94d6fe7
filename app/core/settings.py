"""Every setting of the program: read once from ``HANDOFF_*``, frozen, passed in."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, tzinfo
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "HANDOFF_"
BESIDE = ("HANDOFF_PARENT_FD", "HANDOFF_TEST_")
"""How variables begin that are ours and no settings: between our own processes, and of the tests."""
DEFAULT_URL = "http://127.0.0.1:8000"
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
OVERDUE_HOURS = r"(requested|ready|accepted|in-progress|on-hold):(routine|urgent|asap|stat)=\d{1,6}(\.\d{1,3})?"
"""One of the hours by status and priority of a Task (R4 request-priority)."""


class Settings(BaseSettings):
    """Settings, each with its meaning and default; ``handoff settings`` prints this list."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    database_url: str | None = Field(
        default=None,
        description="A PostgreSQL of your own (15 to 18), postgresql://...; without it `serve` runs the embedded one.",
    )
    migration_url: str | None = Field(
        default=None,
        description="The same database under the role that owns the tables, for `serve`, `handoff db upgrade` and "
        "`handoff db prune`. Then HANDOFF_DATABASE_URL's role owns nothing, and can only add to the audit trail.",
    )
    data_dir: Path = Field(
        default=Path("var"), description="Where the embedded PostgreSQL and the server's address are kept."
    )
    public_url: str | None = Field(
        default=None,
        description="The address that clients use, such as https://refer.example.org; rules Location, fullUrl, "
        "links and token audience. Without it, the address that `serve` listens on.",
    )
    trusted_hops: int = Field(
        default=0,
        ge=0,
        description="How many proxies stand before the server; X-Forwarded-* counts only from that many hops.",
    )
    time_zone: str = Field(
        default="UTC", description="IANA name of the zone in which people read times and clocks count days."
    )
    overdue_hours: str = Field(
        default="requested:stat=1,requested:asap=4,requested:urgent=24,requested:routine=72",
        pattern=rf"^({OVERDUE_HOURS}(,{OVERDUE_HOURS})*)?$",
        description="Hours after which a Task is overdue by status and priority, comma-separated, where it has no "
        "restriction.period.end of its own; a pair that is not named has no clock. Holds for what is written from "
        "then on.",
    )
    references: Literal["warn", "strict", "off"] = Field(
        default="warn",
        description="What a reference to nothing that the caller can see does: a warning, a refusal, or nothing.",
    )
    secret_key: str | None = Field(
        default=None,
        description="Key that encrypts stored secrets and signs tokens (32 bytes, URL-safe base64; "
        "`openssl rand -base64 32 | tr '+/' '-_'`). Without it, one is made in the data directory.",
    )
    pool_size: int = Field(default=10, ge=1, description="Database connections of each web process.")
    max_body: int = Field(default=1_048_576, description="Largest request body, in bytes.")
    max_bundle_body: int = Field(default=5_242_880, description="Largest Bundle, in bytes.")
    max_binary: int = Field(default=20_971_520, description="Largest raw content of a Binary, in bytes.")
    max_bundle_entries: int = Field(default=500, description="Most entries in one batch or transaction.")
    max_depth: int = Field(default=64, description="Deepest nesting of JSON.")
    max_string: int = Field(default=1_048_576, description="Longest string, in characters.")
    max_digits: int = Field(default=40, description="Most digits of a number.")
    max_url: int = Field(default=8_192, description="Longest request target, in bytes.")
    max_or_values: int = Field(default=50, description="Most comma-separated values of one search parameter.")
    max_count: int = Field(default=200, description="Largest page; a larger _count is lowered to it.")
    max_includes: int = Field(default=1_000, description="Most included resources on one page.")
    default_count: int = Field(default=20, description="Page size where _count is absent.")
    statement_timeout: float = Field(default=5.0, description="Seconds before a database statement is given up.")
    token_lifetime: int = Field(default=300, ge=30, le=300, description="Seconds an access token lives.")
    jti_retention: int = Field(
        default=360,
        ge=360,
        le=31_536_000,
        description="Seconds after its end for which a client's assertion is remembered, so that it is never taken "
        "again; some that are older are cleared away at each token.",
    )
    identity_providers: Path | None = Field(
        default=None,
        description="JSON file of the OpenID Connect providers whose tokens count in place of ours, and by which "
        "people sign in (docs/how-to/clients.md, docs/how-to/sign-in.md).",
    )
    sign_in_secret: SecretStr | None = Field(
        default=None, description="Our client's secret at the provider by which people sign in, where it has one."
    )
    session_minutes: int = Field(
        default=60, ge=1, le=720, description="Minutes after which a person has to sign in again."
    )
    demo_sign_in: bool = Field(
        default=False,
        description="Whether one may sign in as a person of the demonstration without a password, from this machine "
        "alone; `serve --demo` on a loopback address sets it.",
    )
    open_as: str | None = Field(
        default=None,
        pattern=r"^(referrer|provider|coordinator|admin):[A-Za-z0-9\-.]{1,64}$",
        description="Open mode, for trying things out: who calls from this machine without a token is this role of "
        "this organisation, such as referrer:my-hospital. `serve` then refuses any address but a loopback one.",
    )
    token_rate_limit: float = Field(
        default=10,
        ge=0,
        description="Tokens a second that one client may get of one web process, and ten times as many at once; 0 is "
        "no limit.",
    )
    token_address_rate_limit: float = Field(
        default=50,
        ge=0,
        description="Requests a second for tokens, refused ones too, that one address (an IPv6 /64) may send to one "
        "web process, and ten times as many at once; 0 is no limit.",
    )
    rate_limit: float = Field(
        default=200, ge=0, description="Requests a second that one client may make of one web process; 0 is no limit."
    )
    rate_burst: int = Field(
        default=1_000, ge=1, description="Requests that one client may make at once, after a pause."
    )
    update_as_create: str = Field(
        default="",
        description="Clients (names, comma-separated) whose PUT to an id that nothing has creates, as that of an admin "
        "does. They can tell which ids are in use.",
    )
    cors_origins: str = Field(
        default="",
        description="Origins (https://app.example.org, comma-separated) whose pages may call the API from a browser; "
        "none unless named.",
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file with the server's certificate and its chain; `serve` then speaks https. Without it, "
        "let a proxy do so (HANDOFF_PUBLIC_URL, HANDOFF_TRUSTED_HOPS).",
    )
    tls_key: Path | None = Field(
        default=None, description="PEM file with the certificate's private key, without a password."
    )
    admin_sees_patients: bool = Field(
        default=False, description="Whether clients of role admin read resources of every organisation."
    )
    webhook_allowed_networks: str = Field(
        default="",
        description="Networks (CIDR, comma-separated) to which webhooks may go, and from which JWKS URLs and identity "
        "providers may be asked, although they are private or loopback.",
    )
    webhook_allow_http: bool = Field(
        default=False, description="Whether webhook endpoints, JWKS URLs and identity providers may use plain http."
    )
    webhook_retry_schedule: str = Field(
        default="0,5,300,1800,7200,18000,36000,50400,72000,86400",
        description="Seconds between attempts, comma-separated; after the last the delivery is a dead letter.",
    )
    webhook_timeout: float = Field(default=20.0, description="Seconds for one attempt, whatever the receiver drips.")
    webhook_connect_timeout: float = Field(
        default=5.0, gt=0, description="Seconds in which one address of an endpoint must take the connection."
    )
    webhook_concurrency: int = Field(default=32, ge=1, description="Attempts under way at once in one worker.")
    webhook_endpoint_concurrency: int | None = Field(
        default=None, ge=1, description="The same to one endpoint; unset, a quarter of all."
    )
    webhook_rate: float | None = Field(
        default=None,
        gt=0,
        description="Most deliveries a second to one endpoint, of all workers together; `handoff webhook rate` sets "
        "another for one. Unset, as many as go.",
    )
    webhook_breaker_failures: int = Field(
        default=10,
        ge=0,
        description="Failed attempts of one endpoint in a row (no answer, 408, 425, 429, 5xx) after which it rests, "
        "and is then tried by one delivery at a time. 0: never.",
    )
    webhook_breaker_rest: float = Field(
        default=300.0,
        ge=1,
        description="Longest rest in seconds; it is a quarter of the time that the endpoint has failed.",
    )
    webhook_proxy: SecretStr | None = Field(
        default=None,
        description="An egress proxy for webhooks, http://[user:password@]host:port. It is asked (CONNECT) for the "
        "very address that was checked, never for a name.",
    )
    worker_nice: int = Field(
        default=10,
        ge=0,
        le=19,
        description="By how much the worker leaves the CPU to the web processes of its machine (nice); 0 for not at "
        "all.",
    )
    max_subscriptions: int = Field(
        default=100, ge=0, description="Most Subscriptions and webhooks of one organisation, those that are off too."
    )
    webhook_lease: float = Field(
        default=60.0, description="Seconds after which another worker may take a claimed delivery."
    )
    package_days: int = Field(
        default=90,
        ge=0,
        le=36_500,
        description="Days for which the owner of a completed or failed Task goes on reading what the Task shared.",
    )
    sub_referral_levels: int = Field(
        default=2,
        ge=0,
        le=8,
        description="How often a referral may be passed on: 1 by the organisation that it was sent to, 2 by the next "
        "one too; 0 means not at all.",
    )
    smtp_host: str | None = Field(
        default=None,
        description="The mail server that takes notifications by e-mail; without it the channel is not offered.",
    )
    smtp_port: int = Field(default=587, ge=1, le=65_535, description="Its port.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="Encryption on the way to it: STARTTLS, which must then be offered, TLS from the first byte (port "
        "465), or none.",
    )
    smtp_ca: Path | None = Field(
        default=None, description="PEM file of the authorities that its certificate may be from; unset, the system's."
    )
    smtp_user: str | None = Field(default=None, description="The user to log in as; never without encryption.")
    smtp_password: SecretStr | None = Field(default=None, description="The user's password.")
    mail_sender: str | None = Field(
        default=None, description="The address that mail is from, such as referrals@hospital.example."
    )
    mail_domains: str = Field(
        default="",
        description="Domains to which mail may go, comma-separated, those below them included; unset, to every one.",
    )
    heartbeat_minimum: int = Field(
        default=10, ge=1, description="Fewest seconds that a Subscription may ask for between heartbeats."
    )
    event_retention_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days after which an event is deleted with its deliveries and attempts, once all of them ended as "
        "long ago; what is queued stays. Unset, for good.",
    )
    attempt_retention_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days after which an attempt is deleted whose delivery was made or withdrawn, with its reason and "
        "answer. Unset, it goes with its event.",
    )
    dead_letter_retention_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days after which a dead letter no longer keeps its event; unset, it does until it is replayed.",
    )
    audit_retention_days: int | None = Field(
        default=None,
        ge=30,
        le=36_500,
        description="Days after which a whole month of the audit trail is dropped, by `serve` or `handoff db prune`. "
        "Unset, for good.",
    )
    history_retention_days: int | None = Field(
        default=None,
        ge=30,
        le=36_500,
        description="Days after which a version that another one replaced is deleted, with the content of a Binary, "
        "by a worker or `handoff db prune`; the current one stays, and what is still to be told. Unset, for good.",
    )
    audit: Literal["buffered", "synchronous"] = Field(
        default="buffered",
        description="When the audit record of a read or search is written: within 200 ms, or before its answer leaves. "
        "Writes, tokens and refusals are always recorded before.",
    )
    metrics: Literal["off", "admin", "open"] = Field(
        default="off",
        description="Who may read /metrics: nobody, clients of role admin by their access token, or everyone who "
        "reaches the address (then let the proxy keep it inside).",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="How much is logged, to standard error."
    )

    @property
    def address(self) -> str:
        """The address that clients use, without a slash at its end."""
        return (self.public_url or DEFAULT_URL).rstrip("/")

    @property
    def base_url(self) -> str:
        """The FHIR base: what our own absolute references begin with."""
        return f"{self.address}/fhir"

    @property
    def zone(self) -> tzinfo:
        """The zone of ``time_zone``."""
        return UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone)

    @field_validator("webhook_proxy")
    @classmethod
    def check_proxy(cls, url: SecretStr | None) -> SecretStr | None:
        """Refuses what is no address of a proxy, without telling the password."""
        try:
            parts = urlsplit(url.get_secret_value() if url else "http://none:1")
            fine = parts.scheme == "http" and parts.hostname and parts.port and parts.path in ("", "/")
        except ValueError:
            fine = False
        if not fine:
            raise ValueError("it is http://[user:password@]host:port")
        return url

    @field_validator("time_zone")
    @classmethod
    def check_time_zone(cls, name: str) -> str:
        """Refuses a zone that there is not."""
        if name == "UTC":
            return name  # also where the machine has no table of zones
        try:
            ZoneInfo(name)
        except (ValueError, OSError, ZoneInfoNotFoundError) as error:
            raise ValueError(f"there is no time zone {name!r}") from error
        return name

    @field_validator("cors_origins")
    @classmethod
    def check_origins(cls, text: str) -> str:
        """Refuses what is no origin; ``*`` too, since what is asked for here is never for everyone."""
        for each in split_list(text):
            if not ORIGIN.fullmatch(each):
                raise ValueError(f"{each!r} is not an origin such as https://app.example.org")
        return text

    @model_validator(mode="after")
    def check_tls(self) -> Self:
        """Refuses a certificate without its key, and a key without its certificate."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("HANDOFF_TLS_CERTIFICATE and HANDOFF_TLS_KEY go together")
        return self

    @model_validator(mode="after")
    def check_smtp(self) -> Self:
        """Refuses a mail server without a sender, and a login that everyone on the way could read."""
        if self.smtp_host is not None and self.mail_sender is None:
            raise ValueError("HANDOFF_SMTP_HOST needs HANDOFF_MAIL_SENDER")
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError("HANDOFF_SMTP_USER and HANDOFF_SMTP_PASSWORD go together")
        if self.smtp_user is not None and self.smtp_tls == "none":
            raise ValueError("HANDOFF_SMTP_USER needs encryption (HANDOFF_SMTP_TLS)")
        return self

    @property
    def clients_with_own_ids(self) -> list[str]:
        """The clients that create by PUT."""
        return split_list(self.update_as_create)

    @property
    def allowed_origins(self) -> list[str]:
        """The origins whose pages may call the API."""
        return split_list(self.cors_origins)


def split_list(text: str) -> list[str]:
    """The values of a setting that are separated by commas."""
    return [each.strip() for each in text.split(",") if each.strip()]


def find_misnamed(environment: Iterable[str]) -> Iterator[str]:
    """What to say of each ``HANDOFF_*`` variable that is no setting: misspelt, it would go unheeded in silence."""
    known = [name.upper() for name in Settings.model_fields]
    for name in sorted(environment):
        own = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and own not in known and not name.startswith(BESIDE):
            close = get_close_matches(own, known, 1)
            yield f"{name} is no setting and changes nothing{f': is {PREFIX}{close[0]} meant?' if close else ''}"
