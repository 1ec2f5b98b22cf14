"""The readers by name."""

from collections.abc import Callable

from indexing.decode.decord import DecordReader
from indexing.decode.protocol import Accuracy, FrameReader
from indexing.decode.pyav import PyAvReader
from retrieval.errors import ConfigError

READERS: dict[str, Callable[[Accuracy], FrameReader]] = {"pyav": PyAvReader, "decord": DecordReader}


def open_reader(name: str, accuracy: str = Accuracy.EXACT) -> FrameReader:
    """The reader of that name; its library is imported when it first reads.

    Raises:
        ConfigError: there is no such reader or accuracy.
    """
    if name not in READERS:
        raise ConfigError(f"There is no video reader {name!r}.", f"Choose one of {', '.join(READERS)}.")
    if accuracy not in list(Accuracy):
        raise ConfigError(f"There is no accuracy {accuracy!r} of frames.", f"Choose one of {', '.join(Accuracy)}.")
    return READERS[name](Accuracy(accuracy))
