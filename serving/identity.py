"""The deployment's secret, and the keyed hash by which somebody who was forgotten can still be recognised."""

import hashlib
import hmac
import os
import secrets
import uuid
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from retrieval.errors import ConfigError

ENVIRONMENT = "LOOKREEL_SECRET"
FILE = "secret"
MIN_BYTES = 16
HASH_DIGITS = 32
_PURPOSE = b"lookreel user\0"  # so that nothing else signed with the secret ever equals a user's hash


def user_hash(secret: bytes, user_id: str) -> str:
    """The keyed hash of a user: 32 hexadecimal digits of HMAC-SHA256. Without the secret nobody can try ids on it."""
    message = _PURPOSE + user_id.encode("utf-8", "surrogatepass")
    return hmac.new(secret, message, hashlib.sha256).hexdigest()[:HASH_DIGITS]


def hasher(state: Path) -> Callable[[str], str]:
    """A function from a user to their keyed hash. The secret of *state* is read when the first one is asked for."""

    @cache
    def secret() -> bytes:
        return load_secret(state)

    return lambda user_id: user_hash(secret(), user_id)


def load_secret(state: Path, environment: Mapping[str, str] | None = None) -> bytes:
    """The secret of `LOOKREEL_SECRET`, or of the file `secret` in the folder *state*, which is made where absent.

    Several hosts need the same secret, so they get it from the environment.

    Raises:
        ConfigError: it is shorter than 16 bytes.
    """
    given = (os.environ if environment is None else environment).get(ENVIRONMENT, "")
    if given:
        return _checked(given.encode(), ENVIRONMENT)
    path = state / FILE
    if not path.exists():
        _create(path)
    return _checked(path.read_bytes().strip(), str(path))


def _checked(secret: bytes, where: str) -> bytes:
    if len(secret) < MIN_BYTES:
        raise ConfigError(
            f"The secret of {where} has {len(secret)} bytes; at least {MIN_BYTES} are needed.",
            "Make one: python -c 'import secrets; print(secrets.token_hex())'",
        )
    return secret


def _create(path: Path) -> None:
    """Write a new secret that only its owner may read. Of several processes that try at once, one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex().encode())
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename it never replaces the secret of another process
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
