"""The evaluation with its content embeddings: the job of `labelcraft` knows nothing of stores."""

from typing import TYPE_CHECKING

from indexing.store import S, open_store
from labelcraft.evaluation.lists import Content
from labelcraft.evaluation.run import EvaluationRequest as EvaluationRequest

if TYPE_CHECKING:
    from labelcraft.evaluation.results import Evaluation


def open_content(place: str) -> Content:
    """The content embeddings of the products in a store.

    Raises:
        StoreError: the store is absent or damaged, or holds something else.
    """
    store = open_store(place, "products")
    return Content(store.items[S.ITEM_ID].to_list(), store.vectors, store.manifest.fingerprint, place)


def evaluate(request: EvaluationRequest) -> "Evaluation":
    """Compare systems on the feeds shown after a split; see `lookreel evaluate run`.

    Raises:
        UserFacingError: an option, table, snapshot, run or file cannot be used.
    """
    from labelcraft.evaluation.run import evaluate as run

    return run(request, open_content)
