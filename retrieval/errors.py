"""What a user did or met, said in one sentence with its cure; any other exception is our own bug."""

from importlib import import_module
from types import ModuleType


class UserFacingError(Exception):
    """Something the user can mend. *message* says what happened, with both values; *cure* says what to do.

    *exit_code* is how a command ends by it.
    """

    exit_code = 2

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(f"{message}\n{cure}")
        self.message = message
        self.cure = cure

    def __reduce__(self) -> tuple[type["UserFacingError"], tuple[str, str]]:
        """So that it survives the way from another process."""
        return type(self), (self.message, self.cure)


class TableError(UserFacingError):
    """An input table cannot be used."""


class ConfigError(UserFacingError):
    """`lookreel.toml` or a flag holds something that is not an option."""


class StoreError(UserFacingError):
    """An embedding store is absent, damaged, or of another encoder."""


class SnapshotError(UserFacingError):
    """A snapshot is absent, damaged, or of another encoder."""


class ModelError(UserFacingError):
    """A model's name or files cannot be used."""


class UnknownItemError(UserFacingError):
    """A video, product or attribute that the snapshot does not hold."""


class MissingExtraError(UserFacingError):
    """An optional dependency is not installed."""


def import_extra(module: str, extra: str) -> ModuleType:
    """Import *module*, or say which extra brings it.

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingExtraError(
            f"This needs the package {module.partition('.')[0]}, which is not installed.",
            f"Install it: pip install 'lookreel[{extra}]'",
        ) from error
