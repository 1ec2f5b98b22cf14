"""Columns of an embedding store. An item is a video or a product; a part is one of its frames or photos."""


class S:
    """Names of the columns of a store's shards."""

    ITEM_ID = "item_id"
    SIGNATURE = "signature"
    CONTENT_HASH = "content_hash"
    VECTOR = "vector"
    PHOTO_VECTOR = "photo_vector"
    TEXT_VECTOR = "text_vector"
    N_PARTS = "n_parts"
    PART = "part"
    TIME_S = "time_s"
    URI = "uri"
    JPEG = "jpeg"
    REASON = "reason"
    DURATION_S = "duration_s"
    WIDTH = "width"
    HEIGHT = "height"
    PARTIAL = "partial"
    SHARD = "shard"
