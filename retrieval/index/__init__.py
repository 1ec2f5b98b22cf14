"""Vector search behind one protocol: an exact oracle, FAISS, and what is faster, smaller or on a GPU."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

from retrieval.errors import ConfigError
from retrieval.index.approximate import HnswIndex, Int8Index, IvfIndex
from retrieval.index.exact import ExactIndex
from retrieval.index.faiss import Codec, FaissIndex
from retrieval.index.faiss_install import count_gpus
from retrieval.index.gpu import GpuFlatIndex, GpuIvfIndex
from retrieval.index.protocol import Half, VectorIndex

AUTO = "auto"
BUILDERS: Mapping[str, Callable[..., VectorIndex]] = {
    "exact": ExactIndex,
    "faiss-fp16": FaissIndex,
    "faiss-fp32": partial(FaissIndex, codec=Codec.FP32),
    "faiss-int8": Int8Index,
    "faiss-ivf": IvfIndex,
    "faiss-hnsw": HnswIndex,
    "gpu-fp16": GpuFlatIndex,
    "gpu-ivf": GpuIvfIndex,
}
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "faiss-ivf": ("nprobe", "lists"),
    "faiss-hnsw": ("ef", "links"),
    "gpu-ivf": ("nprobe", "lists"),
}


@dataclass(frozen=True)
class IndexKind:
    """A kind of index by its *name*, one of `BUILDERS`, and its *options*, whole numbers from 1."""

    name: str
    options: Mapping[str, int]


def default_index_kind() -> str:
    """`gpu-fp16` where FAISS sees a GPU, `faiss-fp16` where it is installed, else `exact`: all answer alike."""
    if not find_spec("faiss"):
        return "exact"
    return "gpu-fp16" if count_gpus() else "faiss-fp16"


def build_index(kind: str, vectors: Half) -> VectorIndex:
    """Return an index of *kind*, such as `exact`, `faiss-ivf:nprobe=16` or `auto`, over `(n_items, dim)` vectors.

    Raises:
        ConfigError: no such kind or option.
        MissingExtraError: the kind needs what is not installed.
    """
    parsed = parse_kind(default_index_kind() if kind == AUTO else kind)
    return BUILDERS[parsed.name](vectors, **parsed.options)


def parse_kind(kind: str) -> IndexKind:
    """Read a kind, other than `auto`, as written in `lookreel.toml`.

    Raises:
        ConfigError: no such kind or option.

    >>> parse_kind("faiss-ivf:nprobe=16,lists=1000")
    IndexKind(name='faiss-ivf', options={'nprobe': 16, 'lists': 1000})
    """
    name, _, options = kind.partition(":")
    if name not in BUILDERS:
        raise ConfigError(f"There is no index kind {name}.", f"Use one of {', '.join((AUTO, *BUILDERS))}.")
    return IndexKind(name, dict(_parse_option(name, text) for text in options.split(",") if options))


def _parse_option(name: str, text: str) -> tuple[str, int]:
    option, _, value = text.partition("=")
    known = OPTIONS.get(name, ())
    if option not in known:
        cure = f"Use {' or '.join(known)}, as in {name}:{known[0]}=16." if known else f"Write {name} alone."
        raise ConfigError(f"The index kind {name} has no option {option!r}.", cure)
    if not value.isdecimal() or int(value) < 1:
        raise ConfigError(f"The option {option} of {name} is {value!r}.", f"Write a whole number: {name}:{option}=16.")
    return option, int(value)
