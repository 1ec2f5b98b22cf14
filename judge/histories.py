"""What each shopper had looked at before a time: the products that a judge is shown. Pure."""

import polars as pl

from judge.task import HISTORY
from retrieval.log import DEFAULT_EVENT_WEIGHTS
from retrieval.tables import Columns as C

LOOKED_AT = [kind for kind, weight in DEFAULT_EVENT_WEIGHTS.items() if weight > 0]
_ROW = "__row"


def last_products(interactions: pl.DataFrame, asked: pl.DataFrame, n_products: int = HISTORY) -> pl.DataFrame:
    """The last *n_products* distinct products of each shopper strictly before being asked for, the most recent first.

    What was only shown, returned or taken off a list does not count. Of events at the same instant the later row is
    the more recent.

    Args:
        asked: user_id and recommended_at, each pair once.

    Returns:
        user_id, recommended_at and product_ids (a list, empty where there was nothing), in the order of *asked*.
    """
    who = [C.USER_ID, C.RECOMMENDED_AT]
    events = interactions.select(C.USER_ID, C.PRODUCT_ID, C.EVENT, C.OCCURRED_AT).with_row_index(_ROW)
    before = (
        events.filter(pl.col(C.EVENT).is_in(LOOKED_AT))
        .join(asked.select(who), on=C.USER_ID)
        .filter(pl.col(C.OCCURRED_AT) < pl.col(C.RECOMMENDED_AT))
        .sort(C.OCCURRED_AT, _ROW, descending=True)
        .unique([*who, C.PRODUCT_ID], keep="first", maintain_order=True)
    )
    lists = before.group_by(who, maintain_order=True).agg(pl.col(C.PRODUCT_ID).head(n_products).alias(C.PRODUCT_IDS))
    return (
        asked.select(who)
        .join(lists, on=who, how="left", maintain_order="left")
        .with_columns(pl.col(C.PRODUCT_IDS).fill_null([]))
    )
