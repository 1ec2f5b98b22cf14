"""Where a walk through the pages of a feed ends."""

from serving.answers import FeedAnswer

SEEN_AGAIN = "seen_again"


def is_shown(page: FeedAnswer, *, again: bool) -> bool:
    """Whether the walk shows a page: not an empty one, nor what was seen before unless that is wanted *again*."""
    return bool(page.videos) and (again or page.fallback != SEEN_AGAIN)


def goes_on(page: FeedAnswer, *, again: bool) -> bool:
    """Whether another page is asked for: until nothing unseen is left, or *again* until nothing is."""
    return bool(page.videos) and (again or not page.exhausted)
