"""What a deployment must tell the API, from the environment with the prefix `LOOKREEL_`.

A shop's own choices stand in `lookreel.toml`; here is what differs between machines: places, keys and limits.
"""

import ipaddress
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from retrieval.errors import ConfigError

PREFIX = "LOOKREEL_"


class Settings(BaseSettings):
    """Places, keys and limits of one deployment.

    *state* is a folder of this host: signing secret, served log, recorded requests, a copy of the overlay. *media* is
    the folder that relative uris start from; nothing outside of it is ever opened. Keys are separated by commas.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    snapshot: Path
    state: Path = Path("serving")
    events: str = ""
    media: Path | None = None
    config: Path = Path("lookreel.toml")
    grades: Path | None = None
    index: str = "auto"

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65_535)
    workers: int = Field(1, ge=1, le=256)
    threads: int = Field(1, ge=1, le=64)

    read_keys: SecretStr = SecretStr("")
    write_keys: SecretStr = SecretStr("")
    admin_keys: SecretStr = SecretStr("")
    secret: SecretStr = SecretStr("")

    rate_limit: float = Field(0.0, ge=0)  # requests a second for each key; 0: none
    queue_limit: int = Field(64, ge=1)  # answers being worked on or waited for, in each worker
    connections: int = Field(1000, ge=1)  # open at once, in each worker
    time_limit_s: float = Field(2.0, gt=0)
    body_limit: int = Field(1 << 20, ge=1)  # bytes
    upload_limit: int = Field(8 << 20, ge=1)  # bytes of a picture
    pixel_limit: int = Field(40_000_000, ge=1)
    max_k: int = Field(100, ge=1)
    max_history: int = Field(1000, ge=1)
    max_text: int = Field(500, ge=1)  # characters
    max_events: int = Field(1000, ge=1)  # of one batch
    max_pages: int = Field(2000, ge=1, le=3700)  # videos of one feed, through all its pages: what a cursor can hold

    @property
    def events_url(self) -> str:
        """Where users' events are kept: by default SQLite beside the rest of the state."""
        return self.events or f"sqlite:///{self.state / 'events.db'}"

    @property
    def has_keys(self) -> bool:
        return any(key.get_secret_value() for key in (self.read_keys, self.write_keys, self.admin_keys))


def load_settings(**given: object) -> Settings:
    """Settings from the environment; what is *given* and not None goes first.

    Raises:
        ConfigError: a value is missing or not allowed.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise ConfigError(
            f"{name} cannot be used: {first['msg']}.", f"Set {name} or the option of that name."
        ) from None


def require_private(settings: Settings) -> None:
    """Refuse an address that others can reach while anybody may ask.

    Raises:
        ConfigError: there are no keys and *host* is not this machine's own.
    """
    if not settings.has_keys and not is_loopback(settings.host):
        raise ConfigError(
            f"{settings.host} can be reached from other machines, and no keys are set.",
            "Set LOOKREEL_READ_KEYS, LOOKREEL_WRITE_KEYS and LOOKREEL_ADMIN_KEYS, or serve on 127.0.0.1.",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches *host*.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
