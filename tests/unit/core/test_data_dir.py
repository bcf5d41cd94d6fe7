"""The data directory: a key made once, addresses, and files that only we read."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.core.data_dir import (
    ADDRESS,
    KEY,
    load_secret_key,
    new_private_file,
    read_address,
    remove_address,
    write_address,
)
from app.core.errors import HandoffError
from app.core.settings import Settings


def settings_of(data_dir: Path, secret_key: str | None = None) -> Settings:
    return Settings(data_dir=data_dir, secret_key=secret_key)


def test_the_key_is_made_once_for_us_alone(tmp_path: Path) -> None:
    key = load_secret_key(settings_of(tmp_path / "new"))
    assert len(key) == 32
    assert load_secret_key(settings_of(tmp_path / "new")) == key
    assert (tmp_path / "new" / KEY).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in (tmp_path / "new").iterdir()] == [KEY]


def test_of_many_at_once_all_get_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        keys = list(threads.map(load_secret_key, [settings_of(tmp_path)] * 64))
    assert len(set(keys)) == 1


def test_the_key_of_the_settings_rules(tmp_path: Path) -> None:
    text = base64.urlsafe_b64encode(b"k" * 32).decode()
    assert load_secret_key(settings_of(tmp_path, text)) == b"k" * 32
    assert not (tmp_path / KEY).exists()


@pytest.mark.parametrize(
    "text",
    ["", "short", "c2hvcnQ=", base64.urlsafe_b64encode(b"k" * 31).decode(), "ключ" * 11, "!" * 44, "+" * 43 + "="],
)
def test_a_malformed_key_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(HandoffError, match="32 bytes in URL-safe base64") as caught:
        load_secret_key(settings_of(tmp_path, text))
    assert not text or text not in str(caught.value)


def test_a_malformed_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / KEY).write_text("nonsense")
    with pytest.raises(HandoffError, match=KEY):
        load_secret_key(settings_of(tmp_path))


def test_an_address_is_written_read_and_removed(tmp_path: Path) -> None:
    assert read_address(tmp_path, ADDRESS) is None
    write_address(tmp_path, ADDRESS, "http://127.0.0.1:8000")
    write_address(tmp_path, ADDRESS, "http://127.0.0.1:8001")
    assert read_address(tmp_path, ADDRESS) == "http://127.0.0.1:8001"
    assert (tmp_path / ADDRESS).stat().st_mode & 0o777 == 0o600
    remove_address(tmp_path, ADDRESS)
    remove_address(tmp_path, ADDRESS)
    assert read_address(tmp_path, ADDRESS) is None


def test_a_private_file_is_kept_only_after_success(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    with pytest.raises(ZeroDivisionError), new_private_file(path, "secret"):
        raise ZeroDivisionError
    assert not path.exists()
    with new_private_file(path, "secret"):
        assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(HandoffError, match="there already"), new_private_file(path, "other"):
        pytest.fail("the block ran")
    assert path.read_text() == "secret"
