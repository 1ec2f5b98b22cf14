"""The way to FAISS: the only module that imports it, after a look at what is installed."""

from collections.abc import Set as AbstractSet
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from retrieval.errors import MissingExtraError, import_extra

DISTRIBUTIONS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs", "faiss-gpu-cu11", "faiss-gpu-cu12")
NEEDED = "IndexScalarQuantizer"  # absent where a removal left the package's folder half empty


@cache
def load_faiss() -> Any:
    """The module `faiss`.

    Raises:
        MissingExtraError: it is not installed, or two distributions of it overwrote each other.
    """
    refuse_mixed(installed_distributions())
    try:
        faiss = import_extra("faiss", "cpu")
    except MissingExtraError:
        raise
    except ImportError as error:
        raise _damaged(str(error)) from error
    if not hasattr(faiss, NEEDED):
        raise _damaged(f"it has no {NEEDED}")
    return faiss


def refuse_mixed(installed: AbstractSet[str]) -> None:
    """Refuse more than one distribution of FAISS: all unpack into one folder, and the last to come or go breaks it.

    Raises:
        MissingExtraError: naming them.
    """
    if len(installed) > 1:
        names = " and ".join(sorted(installed))
        raise MissingExtraError(
            f"{names} are installed together and overwrite each other's files.",
            f"Remove both and install one: pip uninstall -y {' '.join(sorted(installed))}; "
            "pip install 'lookreel[cpu]' (or 'lookreel[gpu]')",
        )


def installed_distributions() -> frozenset[str]:
    """Which distributions that bring `faiss` are installed."""
    return frozenset(name for name in DISTRIBUTIONS if _is_installed(name))


def count_gpus() -> int:
    """How many GPUs FAISS can use: 0 where it is not installed or was built without them."""
    return int(load_faiss().get_num_gpus()) if find_spec("faiss") else 0


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _damaged(why: str) -> MissingExtraError:
    return MissingExtraError(
        f"FAISS is installed but does not load: {why}.",
        "Install it again: pip install --force-reinstall --no-deps faiss-cpu (or faiss-gpu)",
    )
