"""What reading one file may take, and the words for what goes wrong."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on one file (for a product: on its photos together).

    *seconds* of wall time, *memory_mb* beyond what the worker needs anyhow, *pixels* (width × height) of a photo or of
    a video's picture, where a reader's own bound may be lower, *download_mb* of a remote file. One MB is 10^6 bytes.
    """

    seconds: float = 60.0
    memory_mb: int = 2048
    pixels: int = 100_000_000
    download_mb: int = 2048

    @property
    def too_slow(self) -> str:
        """The reason for a file that took too long."""
        return f"reading took longer than {self.seconds:g} s"

    @property
    def too_hungry(self) -> str:
        """The reason for a file that wanted too much memory."""
        return f"reading needed more than {self.memory_mb} MB"


DEFAULT_LIMITS = Limits()


def in_words(error: BaseException) -> str:
    """The kind of an exception and what it says."""
    name = type(error).__name__
    try:
        return f"{name}: {error}" if str(error) else name
    except Exception:  # some exceptions of C libraries cannot be printed
        return name
