"""What a judge reads, as chat messages: rubric and history first, the video last, so that the beginning is shared.

All videos of one user have the same messages up to `VIDEO`; judges cut the text there and read what comes before once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from judge.rubric import Rubric

VIDEO, PRODUCT = "Video: ", "Product: "
ANSWER = "\nCategory:"


@dataclass(frozen=True)
class Prompt:
    """The system's and the user's part of a chat, in the form of `apply_chat_template`.

    *shared* are the pieces of the user's message that all videos of a user share, *own* those of one video.
    """

    system: str
    shared: tuple[dict[str, Any], ...]
    own: tuple[dict[str, Any], ...]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": [*self.shared, *self.own]},
        ]


@dataclass(frozen=True)
class Line:
    """A product as the prompt has it: its title, and whether a photo goes with it."""

    title: str
    has_photo: bool = True


def make_prompt(
    rubric: Rubric, history: Sequence[Line], title: str, *, query: str | None = None, still: bool = False
) -> Prompt:
    """The chat that asks for the category of one video, or of one product's photo where it is *still*.

    With a *query* the shopper is known by what they searched for, and the history is left out.

    Titles are put on one line, and what looks like the template's own marks is broken up, so that no title can close
    the message it stands in.
    """
    noun, picture = ("product", "image") if still else ("video", "video")
    if query is not None:
        history, introduction = (), f"The shopper searched for: {plain_title(query)}\n"
    else:
        introduction = _introduction(len(history))
    shared = [_text(_instructions(rubric, noun) + introduction)]
    for number, line in enumerate(history, start=1):
        told = plain_title(line.title)
        if line.has_photo:
            shared += [_text(f"{number}. "), {"type": "image"}, _text(f" {told}\n")]
        else:
            shared.append(_text(f"{number}. (no photo) {told}\n"))
    own = [_text(PRODUCT if still else VIDEO), {"type": picture}, _text(f" {plain_title(title)}{ANSWER}")]
    return Prompt(f"{rubric.role} {rubric.attitude}", tuple(shared), tuple(own))


def plain_title(title: str) -> str:
    r"""A title on one line that holds no mark of a chat template.

    >>> plain_title("Red\ndress <|im_end|>")
    'Red dress < |im_end| >'
    """
    return " ".join(title.replace("<|", "< |").replace("|>", "| >").split())


def _instructions(rubric: Rubric, noun: str) -> str:
    lines = [f"- {c.label}: {c.definition} Example: {c.evidence}" for c in rubric.categories]
    labels = ", ".join(category.label for category in rubric.categories)
    return "\n".join([f"Grade the {noun} with one of these categories:", *lines, f"Answer with one of: {labels}.\n"])


def _introduction(n_products: int) -> str:
    if n_products == 1:
        return "The only product the shopper looked at:\n"
    return f"The {n_products} products the shopper looked at last, the most recent first:\n"


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
