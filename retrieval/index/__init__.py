"""Vector search behind one protocol: an exact oracle and FAISS."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec

from retrieval.errors import ConfigError
from retrieval.index.exact import ExactIndex
from retrieval.index.faiss import FaissIndex
from retrieval.index.protocol import Half, VectorIndex

BUILDERS: Mapping[str, Callable[[Half], VectorIndex]] = {"exact": ExactIndex, "faiss-fp16": FaissIndex}


def default_index_kind() -> str:
    """`faiss-fp16` where FAISS is installed, else `exact`: both give the same answers."""
    return "faiss-fp16" if find_spec("faiss") else "exact"


def build_index(kind: str, vectors: Half) -> VectorIndex:
    """Return an index of *kind* over `(n_items, dim)` vectors.

    Raises:
        ConfigError: no such kind.
    """
    if kind not in BUILDERS:
        raise ConfigError(f"There is no index kind {kind}.", f"Use one of {', '.join(BUILDERS)}.")
    return BUILDERS[kind](vectors)
