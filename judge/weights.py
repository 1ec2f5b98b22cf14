"""What names a model's weights without loading them."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

_SAMPLED_BYTES = 1 << 20


def fingerprint(weights: Iterable[bytes], options: Sequence[Any]) -> str:
    """Twelve hexadecimal digits of the weights and of every option that changes a grade."""
    digest = hashlib.sha256(repr(tuple(options)).encode())
    for part in weights:
        digest.update(part)
    return digest.hexdigest()[:12]


def folder_parts(folder: Path) -> Iterator[bytes]:
    """The settings and weights of a model's folder, of large files a sample."""
    for file in sorted([*folder.glob("*.json"), *folder.glob("*.jinja")]):
        yield file.read_bytes()
    for file in sorted(folder.glob("*.safetensors")):
        yield from _sample_of(file)


def _sample_of(file: Path, pieces: int = 32) -> Iterator[bytes]:
    """All of a small file; of a large one its size and a megabyte at each of 32 places, which any training changes."""
    size = file.stat().st_size
    yield str(size).encode()
    with file.open("rb") as opened:
        for start in range(0, size, max(_SAMPLED_BYTES, size // pieces)):
            opened.seek(start)
            yield opened.read(_SAMPLED_BYTES)
