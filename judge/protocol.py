"""What every judge can do."""

from collections.abc import Iterator
from typing import Protocol

from judge.rubric import Rubric
from judge.task import Task
from judge.verdict import Outcome


class Judge(Protocol):
    """Grades videos for one shopper.

    *name* is how it was asked for; *fingerprint* names everything that could change a grade: weights, sizes, settings.

    A judge may have more: *reads_pictures*, false where it looks at no photo and no frame; *price*, what one judgment
    costs as far as it knows; `close`, called when it is asked no more.
    """

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def grade(self, task: Task, rubric: Rubric, *, explain: bool = False) -> Iterator[Outcome]:
        """One outcome for each video of *task*, in their order, each as soon as it is known: the run keeps it then.

        Args:
            explain: give each verdict a short reason too, where the judge can.

        Raises:
            UserFacingError: the judge cannot go on: no memory, no server, no budget left.
        """
        ...
