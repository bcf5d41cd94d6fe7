"""The data directory: the server's address, its database's, and its secret key, for the commands beside it."""

import base64
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.core.errors import HandoffError
from app.core.settings import Settings

ADDRESS = "server.url"
DATABASE = "database.url"
KEY = "secret.key"
KEY_BYTES = 32
KEY_TEXT = re.compile(r"[A-Za-z0-9_-]{43}=?")


def write_private(path: Path, text: str) -> None:
    """Writes a file that only we read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f"{path.name}.{os.getpid()}")
    making.unlink(missing_ok=True)
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    making.rename(path)


@contextmanager
def new_private_file(path: Path, text: str) -> Iterator[None]:
    """A file that only we read, kept if the block succeeds. Raises HandoffError where there is one already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise HandoffError(f"{path} is there already; it was left as it is") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    try:
        yield
    except BaseException:
        path.unlink()
        raise


def write_address(data_dir: Path, name: str, url: str) -> None:
    """Records where something that runs can be reached; ``name`` is ``ADDRESS`` or ``DATABASE``."""
    write_private(data_dir / name, url + "\n")


def read_address(data_dir: Path, name: str) -> str | None:
    """What ``write_address`` recorded, None for nothing."""
    path = data_dir / name
    return path.read_text().strip() if path.exists() else None


def remove_address(data_dir: Path, name: str) -> None:
    """Forgets an address at a clean end."""
    (data_dir / name).unlink(missing_ok=True)


def load_secret_key(settings: Settings) -> bytes:
    """The key from the settings, else the data directory's, made once. Raises HandoffError where it is malformed."""
    if settings.secret_key is not None:
        return read_key(settings.secret_key, "HANDOFF_SECRET_KEY")
    path = settings.data_dir / KEY
    if not path.exists():
        make_key(path)
    return read_key(path.read_text().strip(), str(path))


def find_secret_key(settings: Settings) -> bytes | None:
    """As ``load_secret_key``; None where there is none yet."""
    return load_secret_key(settings) if settings.secret_key or (settings.data_dir / KEY).exists() else None


def make_key(path: Path) -> None:
    """A new key; of two processes at once, the first one's stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    write_private(making, base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode())
    try:
        os.link(making, path)
    except FileExistsError:
        return
    finally:
        making.unlink()


def read_key(text: str, source: str) -> bytes:
    """The key that a text holds. Python's decoder passes over what is not base64, and so would take a damaged key."""
    if not KEY_TEXT.fullmatch(text):
        raise HandoffError(f"{source} must hold {KEY_BYTES} bytes in URL-safe base64")
    return base64.urlsafe_b64decode(f"{text.rstrip('=')}=")
