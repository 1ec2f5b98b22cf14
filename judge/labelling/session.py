"""Which videos a person is asked about, in which order, and what they have answered so far. No disk, no clock."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from random import Random

REPEAT_AFTER = 15  # items between a video and its repeat, where there are as many: enough to have forgotten the answer


@dataclass(frozen=True)
class Item:
    """One question: how well *video_id* suits *user_id*. A *repeat* asks what was asked before."""

    user_id: str
    video_id: str
    repeat: bool = False


@dataclass(frozen=True)
class Answer:
    """A person's grade of an item, 1 to 5, None where they cannot tell.

    *seconds* is how long they looked, *content* names the pictures and titles that they saw.
    """

    item: Item
    grade: int | None
    graded_at: datetime
    seconds: float
    content: str


@dataclass(frozen=True)
class Progress:
    """How far a person is: of *n_items* to answer, *n_graded* have a grade and *n_skipped* were skipped."""

    n_items: int
    n_graded: int
    n_skipped: int

    @property
    def n_left(self) -> int:
        return self.n_items - self.n_graded - self.n_skipped


def make_queue(
    videos: Mapping[str, Sequence[str]],
    systems: Mapping[tuple[str, str], Collection[str]],
    *,
    seed: int,
    repeats: float,
) -> tuple[Item, ...]:
    """The order of the questions: one shopper after another, so that a history is read once, then their repeats.

    Shoppers come in a shuffled order. Within one, the systems take turns, each with a video of its own that is drawn at
    random: whoever stops early has graded every system alike, and no place in the order tells a rank.

    Args:
        videos: the videos to grade, by user.
        systems: which systems recommend a video, by user and video; none of them is ever shown.
        repeats: the share of items that are asked a second time, 0 to 1.
    """
    users = sorted(videos)
    Random(f"{seed} users").shuffle(users)
    blocks = [[Item(user, video) for video in _take_turns(user, videos[user], systems, seed)] for user in users]
    return _with_repeats(blocks, repeats, Random(f"{seed} repeats"))


def _take_turns(
    user: str, videos: Sequence[str], systems: Mapping[tuple[str, str], Collection[str]], seed: int
) -> list[str]:
    rng = Random(f"{seed} videos {user}")
    hands: dict[str, list[str]] = {}
    for video in sorted(set(videos)):
        for system in sorted(systems.get((user, video), ())) or [""]:
            hands.setdefault(system, []).append(video)
    order = sorted(hands)
    rng.shuffle(order)
    for system in order:
        rng.shuffle(hands[system])
    taken: dict[str, None] = {}
    while any(hands.values()):
        for system in order:
            left = [video for video in hands[system] if video not in taken]
            taken.update(dict.fromkeys(left[:1]))
            hands[system] = left[1:]
    return list(taken)


def _with_repeats(blocks: Sequence[Sequence[Item]], share: float, rng: Random) -> tuple[Item, ...]:
    """The blocks one after another, with each repeat behind the first block that ends far enough from it."""
    items = [item for block in blocks for item in block]
    due = sorted(rng.sample(range(len(items)), round(share * len(items))))
    queue: list[Item] = []
    n_first = 0
    for block in blocks:
        queue += block
        n_first += len(block)
        ready = [place for place in due if n_first - place > REPEAT_AFTER]
        queue += [replace(items[place], repeat=True) for place in ready]
        due = due[len(ready) :]
    return (*queue, *(replace(items[place], repeat=True) for place in due))


@dataclass(frozen=True)
class Session:
    """One person's way through the *queue*.

    *acts* are the answers in the order of time, the newest last; an item that was answered anew has several, of which
    the last one counts. What was undone is no longer among them.
    """

    queue: tuple[Item, ...]
    acts: tuple[Answer, ...] = ()

    @cached_property
    def answers(self) -> dict[Item, Answer]:
        """The answer that counts, by item."""
        return {answer.item: answer for answer in self.acts}

    @property
    def next_place(self) -> int | None:
        """The place in the queue of the first item without an answer; None when all have one."""
        return next((place for place, item in enumerate(self.queue) if item not in self.answers), None)

    @property
    def progress(self) -> Progress:
        n_skipped = sum(answer.grade is None for answer in self.answers.values())
        return Progress(len(self.queue), len(self.answers) - n_skipped, n_skipped)

    def answered(self, answer: Answer) -> "Session":
        """The session after one more answer, which replaces an earlier one of the same item.

        Raises:
            ValueError: the item is not in the queue, or the grade is not 1 to 5.
        """
        if answer.item not in self.queue:
            raise ValueError(f"{answer.item} is not in the queue")
        if answer.grade is not None and not 1 <= answer.grade <= 5:
            raise ValueError(f"a grade is 1 to 5, not {answer.grade}")
        return replace(self, acts=(*self.acts, answer))

    def undone(self) -> "Session":
        """The session before its newest answer: an item that was answered anew has its earlier answer again.

        Raises:
            ValueError: there is no answer to undo.
        """
        if not self.acts:
            raise ValueError("nothing was answered yet")
        return replace(self, acts=self.acts[:-1])


def resume(queue: tuple[Item, ...], acts: Iterable[Answer], content: Mapping[Item, str]) -> Session:
    """The session of a person who answered before.

    Answers of items that are no longer asked, or whose pictures or titles have changed since, do not count.

    Args:
        content: what each item of the queue shows now.
    """
    return Session(queue, tuple(answer for answer in acts if content.get(answer.item) == answer.content))
