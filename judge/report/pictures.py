"""What the contact sheets of a report show, and one way to have it: the tasks that a judge was given."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from judge.task import Task


class Pictures(Protocol):
    """The pictures and titles behind the grades. Pictures are encoded; None where there is none."""

    def history(self, user_id: str) -> Sequence[str]:
        """The products that the judge was shown of a user, the most recent first."""
        ...

    def photo(self, product_id: str) -> bytes | None: ...

    def frame(self, video_id: str) -> bytes | None: ...

    def title(self, item_id: str) -> str: ...


class TaskPictures:
    """The pictures of some users' tasks: a product's photo, and of a video the frame in its middle."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._histories: dict[str, list[str]] = {}
        self._photos: dict[str, bytes | None] = {}
        self._frames: dict[str, bytes | None] = {}
        self._titles: dict[str, str] = {}
        for task in tasks:
            self._histories[task.user_id] = [product.product_id for product in task.history]
            for product in task.history:
                self._photos[product.product_id] = product.photo
                self._titles[product.product_id] = product.title
            for video in task.videos:
                self._frames[video.video_id] = video.frames[len(video.frames) // 2] if video.frames else None
                self._titles[video.video_id] = video.title

    def history(self, user_id: str) -> Sequence[str]:
        return self._histories.get(user_id, [])

    def photo(self, product_id: str) -> bytes | None:
        return self._photos.get(product_id)

    def frame(self, video_id: str) -> bytes | None:
        return self._frames.get(video_id)

    def title(self, item_id: str) -> str:
        return self._titles.get(item_id, "")
