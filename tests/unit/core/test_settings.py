"""The settings: from the environment, frozen, each explained."""

import pytest
from pydantic import SecretStr, ValidationError

from app.core.settings import Settings, find_misnamed


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"HANDOFF_{name.upper()}", raising=False)


def test_every_setting_is_explained() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith((".", ")")), name


def test_the_environment_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_POOL_SIZE", "3")
    monkeypatch.setenv("HANDOFF_REFERENCES", "strict")
    settings = Settings()
    assert (settings.pool_size, settings.references) == (3, "strict")


def test_nothing_changes_a_setting_once_read() -> None:
    with pytest.raises(ValidationError):
        setattr(Settings(), "pool_size", 3)  # noqa: B010 -- written plainly, mypy would refuse it first


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REFERENCES", "maybe"),
        ("POOL_SIZE", "0"),
        ("TRUSTED_HOPS", "-1"),
        ("TIME_ZONE", "Mars/Base"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://a.example/path"),
        ("RATE_LIMIT", "-1"),
    ],
)
def test_a_setting_out_of_bounds_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"HANDOFF_{name}", value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert caught.value.errors()[0]["loc"] == (name.lower(),)


def test_a_certificate_needs_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_TLS_CERTIFICATE", "server.pem")
    with pytest.raises(ValidationError, match="go together"):
        Settings()


@pytest.mark.parametrize(
    "url", ["proxy:3128", "https://proxy:3128", "http://proxy", "http://u:secret@proxy:x", "socks5://p:1"]
)
def test_a_proxy_is_an_address_of_http(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(webhook_proxy=SecretStr(url))
    assert "secret" not in str(refused.value)
    assert Settings(webhook_proxy=SecretStr("http://user:secret@proxy:3128")).webhook_proxy


def test_a_variable_that_is_no_setting_is_told() -> None:
    """Whoever misspells a setting believes that it holds."""
    fine = ["HANDOFF_POOL_SIZE", "handoff_pool_size", "HANDOFF_PARENT_FD", "HANDOFF_TEST_DATA", "PATH"]
    told = list(find_misnamed([*fine, "HANDOFF_RATELIMIT", "HANDOFF_XYZZY"]))
    assert told == [
        "HANDOFF_RATELIMIT is no setting and changes nothing: is HANDOFF_RATE_LIMIT meant?",
        "HANDOFF_XYZZY is no setting and changes nothing",
    ]
