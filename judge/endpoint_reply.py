"""What is asked of an OpenAI-compatible server beside the messages, and how its reply is read. Pure."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from judge.rubric import LABELS
from judge.verdict import NoVerdict, Outcome, Unscored, certain, from_log_probabilities, parse_label

TEMPERATURE = 0.0
TOP = 20  # what vLLM gives at most by default (--max-logprobs), and OpenAI
FLOOR = 1e-8  # the probability of a label that is not among the likeliest tokens
DETAIL = 200  # characters


class Choice(StrEnum):
    """How a server is told to answer with one of the labels, in the order in which they are tried."""

    STRUCTURED = "structured_outputs"  # vLLM since 0.12
    GUIDED = "guided_choice"  # vLLM before
    REGEX = "regex"  # SGLang
    PLAIN = "plain"  # it is only asked to


@dataclass(frozen=True)
class Dialect:
    """What a server was found to understand; *cap* is the name it has for the most tokens of a reply."""

    choice: Choice = Choice.STRUCTURED
    logprobs: bool = True
    cap: str = "max_tokens"

    def fields(self, n_tokens: int, *, labels: bool = True) -> dict[str, Any]:
        """The fields of a request, beside the model and the messages.

        Args:
            labels: ask for one of the labels, and for the probabilities of all.
        """
        fields = {"temperature": TEMPERATURE, self.cap: n_tokens}
        if labels:
            fields |= _choice_field(self.choice) | ({"logprobs": True, "top_logprobs": TOP} if self.logprobs else {})
        return fields

    def after_complaint(self, text: str) -> "Dialect | None":
        """What to try when the server said this of the request; None where it complains of none of these fields."""
        if self.choice != Choice.PLAIN and self.choice.value in text:
            return self.plainer()
        if self.logprobs and "logprobs" in text:
            return replace(self, logprobs=False)
        if self.cap == "max_tokens" and "max_completion_tokens" in text:  # OpenAI's newer models
            return replace(self, cap="max_completion_tokens")
        return None

    def after_reply(self, reply: "Reply") -> "Dialect | None":
        """What to try when the reply shows that the choice was ignored; None where it does not.

        vLLM answers 200 to fields that it does not know, and ignores them: what is no beginning of a label tells.
        """
        text = reply.text.strip()
        if self.choice == Choice.PLAIN or reply.refusal or any(label.startswith(text) for label in LABELS):
            return None
        return self.plainer()

    def plainer(self) -> "Dialect":
        """The next spelling of the choice."""
        spellings = list(Choice)
        return replace(self, choice=spellings[spellings.index(self.choice) + 1])


def _choice_field(choice: Choice) -> dict[str, Any]:
    match choice:
        case Choice.STRUCTURED:
            return {choice.value: {"choice": list(LABELS)}}
        case Choice.GUIDED:
            return {choice.value: list(LABELS)}
        case Choice.REGEX:
            return {choice.value: f"({'|'.join(LABELS)})"}
        case Choice.PLAIN:
            return {}


@dataclass(frozen=True)
class Token:
    """A token of the reply, and the *likeliest* at its place with their log-probabilities, itself among them."""

    text: str
    likeliest: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Reply:
    """What came: the *text*, why it ends, and the counts of tokens; None where the server does not count."""

    text: str
    finish: str
    refusal: str = ""
    tokens: tuple[Token, ...] = ()
    n_input: int | None = None
    n_output: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the text ends by itself."""
        return self.finish != "length"


def parse_reply(body: bytes) -> Reply:
    """The reply in the body of an answer.

    Raises:
        ValueError: it is not JSON, or not of this protocol.
    """
    try:
        data = json.loads(body)
        choice = data["choices"][0]
        message, usage = choice["message"], data.get("usage") or {}
        return Reply(
            text=str(message.get("content") or ""),
            finish=str(choice.get("finish_reason") or ""),
            refusal=str(message.get("refusal") or ""),
            tokens=tuple(map(_token, (choice.get("logprobs") or {}).get("content") or ())),
            n_input=_count(usage.get("prompt_tokens")),
            n_output=_count(usage.get("completion_tokens")),
        )
    except (KeyError, IndexError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"no reply of this protocol: {error!r}") from error


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _token(data: Mapping[str, Any]) -> Token:
    own = (str(data["token"]), float(data["logprob"]))
    listed = [(str(one["token"]), float(one["logprob"])) for one in data.get("top_logprobs") or ()]
    missing = [] if own[0] in {text for text, _ in listed} else [own]
    return Token(own[0], (*listed, *missing))


def read_outcome(reply: Reply) -> Outcome:
    """The verdict of a reply, or why it holds none.

    With log-probabilities it is a distribution over the labels. They are read at the place where the label begins:
    there the tokens that begin one label only are its share, whether a model writes `ex`, `excellent` or
    `excellent_match`; a token that begins several, such as `p`, is followed by what comes after it. A label that is
    not among the likeliest tokens has a probability of `FLOOR`. What follows the token that tells the labels apart is
    taken for sure, though `no` may have been meant for `nothing`: the judge `qwen:` scores the whole labels.
    """
    if reply.refusal or reply.finish == "content_filter":
        return NoVerdict(Unscored.REFUSED, shorten(reply.refusal or reply.text))
    if not reply.is_whole:
        return NoVerdict(Unscored.TRUNCATED, shorten(reply.text))
    label = parse_label(reply.text)
    if label is None:
        return NoVerdict(Unscored.NO_VERDICT, shorten(reply.text))
    at = _place_of(label, reply.tokens)
    shares = label_shares(reply.tokens[at:]) if at is not None else {}
    if shares.get(label, 0.0) <= 0.0:
        return certain(label)
    return from_log_probabilities({name: math.log(max(share, FLOOR)) for name, share in shares.items()})


def label_shares(tokens: Sequence[Token], said: str = "") -> dict[str, float]:
    """The probability of each label, read from *tokens* that begin with it; 0 where no listed token begins it.

    >>> label_shares([Token("ex", (("ex", math.log(0.5)), (" Good", math.log(0.25)), ("The", math.log(0.125))))])
    {'excellent_match': 0.5, 'good_match': 0.25, 'partial_match': 0.0, 'poor_match': 0.0, 'no_match': 0.0}
    """
    shares = dict.fromkeys(LABELS, 0.0)
    followed = False
    for text, log_probability in tokens[0].likeliest:
        begun = (said + text).lstrip().lower()
        fits = [label for label in LABELS if begun and (label.startswith(begun) or begun.startswith(label))]
        if len(fits) == 1:
            shares[fits[0]] += math.exp(log_probability)
        elif fits and text == tokens[0].text and len(tokens) > 1 and not followed:
            followed = True
            for label, share in label_shares(tokens[1:], said + text).items():
                shares[label] += math.exp(log_probability) * share
    return shares


def _place_of(label: str, tokens: Sequence[Token]) -> int | None:
    """The token that begins the label; None where none does, such as `**good`."""
    text = "".join(token.text for token in tokens)
    start, end = text.lower().find(label), 0
    for place, token in enumerate(tokens):
        begin, end = end, end + len(token.text)
        if begin <= start < end:
            return None if text[begin:start].strip() else place
    return None


def shorten(text: str, n_characters: int = DETAIL) -> str:
    """A text on one line and of at most so many characters."""
    return " ".join(text.split())[:n_characters]
