"""The judge `endpoint:<url>,<model>`: a model behind any OpenAI-compatible server, such as vLLM or SGLang."""

import hashlib
import json
import logging
import os
import random
import threading
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from judge.endpoint_budget import CHARACTERS_PER_TOKEN, Meter, Prices, Size, Usage
from judge.endpoint_pictures import (
    PIXELS_PER_TOKEN,
    QUALITY,
    FramesStyle,
    Picture,
    fill_in,
    fit_frames,
    fit_picture,
    frame_parts,
)
from judge.endpoint_reply import TEMPERATURE, TOP, Choice, Dialect, Reply, parse_reply, read_outcome, shorten
from judge.endpoint_server import (
    KEYS,
    Address,
    CutShortError,
    Patience,
    RefusedError,
    Server,
    parse_address,
)
from judge.prompt import Line, make_prompt
from judge.rubric import LABELS, SCORES, Rubric
from judge.task import HISTORY, ShownVideo, Task
from judge.verdict import NoVerdict, Outcome, Unscored, Verdict
from retrieval.errors import ConfigError

logger = logging.getLogger(__name__)

WHY = "Name the evidence for this category in one sentence of at most 30 words."
REASON = 300  # characters
_CHAT = 1  # counted up when the messages change by more than the prompt


@dataclass(frozen=True)
class EndpointOptions:
    """How a server is asked.

    Photos and frames have at most *max_pixels*; *frames* says how those of a video are sent; *choice* is the spelling
    of structured output that is tried first, and those after it follow until the server takes one. At most
    *concurrency* requests are on their way; each is tried *attempts* times, *backoff_s* apart at first, at most
    *longest_s*. *budget* is in the currency of the prices, for one run: the judge stops before it would exceed it.
    """

    max_pixels: int = 448 * 448
    frames: FramesStyle = FramesStyle.IMAGES
    choice: Choice = Choice.STRUCTURED
    concurrency: int = 8
    attempts: int = 6
    backoff_s: float = 1.0
    longest_s: float = 60.0
    timeout_s: float = 120.0
    answer_tokens: int = 32
    reason_tokens: int = 96
    price_per_million_input: float = 0.0
    price_per_million_output: float = 0.0
    budget: float | None = None


def open_endpoint(
    spec: str, options: EndpointOptions | None = None, environ: Mapping[str, str] = os.environ
) -> "EndpointJudge":
    """The judge that *spec* names, its server asked once for what it serves.

    The key comes from `LOOKREEL_JUDGE_KEY` or `OPENAI_API_KEY` in *environ*, and is written nowhere.

    Raises:
        ConfigError: an option is out of its range.
        UserFacingError: the specification is none, the server is down or refuses the key, or a budget has no prices.
        MissingExtraError: `openai` or Pillow is not installed.
    """
    address, chosen = parse_address(spec), options or EndpointOptions()
    _check(chosen)
    key = next((environ[name] for name in KEYS if environ.get(name)), None)
    patience = Patience(chosen.attempts, chosen.backoff_s, chosen.longest_s, chosen.timeout_s)
    meter = Meter(Prices(chosen.price_per_million_input, chosen.price_per_million_output), chosen.budget)
    return EndpointJudge(address, chosen, Server(address, key, patience, random.Random()), meter)


def _check(options: EndpointOptions) -> None:
    for name in ("max_pixels", "concurrency", "attempts", "timeout_s", "answer_tokens", "reason_tokens"):
        if not getattr(options, name) > 0:
            raise ConfigError(f"The judge's option {name} is {getattr(options, name)}.", "It must be above 0.")
    for name in ("backoff_s", "longest_s", "price_per_million_input", "price_per_million_output"):
        if not getattr(options, name) >= 0:
            raise ConfigError(f"The judge's option {name} is {getattr(options, name)}.", "It must be at least 0.")


@dataclass(frozen=True)
class _Question:
    """The messages for one video; what the *answer* and the *reason* may take, None where none is asked for."""

    messages: tuple[dict[str, Any], ...]
    answer: Size
    reason: Size | None

    @property
    def whole(self) -> Size:
        return self.answer if self.reason is None else self.answer + self.reason


class EndpointJudge:
    """Grades by a server's model. One may grade for several shoppers at once, from several threads."""

    def __init__(self, address: Address, options: EndpointOptions, server: Server, meter: Meter) -> None:
        self.name = address.name
        self._options, self._server, self._meter = options, server, meter
        self.fingerprint = _fingerprint(address, options, server.models())
        self._dialect = Dialect(options.choice)
        self._taken: Dialect | None = None  # one in which the server has answered
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(options.concurrency, thread_name_prefix="judge")

    @property
    def usage(self) -> Usage:
        """What was used since the judge was opened."""
        return self._meter.usage

    @property
    def price(self) -> float | None:
        """What one judgment costs; None where no prices were given.

        It is the mean so far, and before the first judgment an estimate for a full history and four frames.
        """
        if not self._meter.knows_prices:
            return None
        used = self._meter.usage
        if used.n_judgments:
            return used.cost / used.n_judgments
        n_input = (HISTORY + 4) * self._options.max_pixels // PIXELS_PER_TOKEN + 1000
        return self._meter.cost(Size(n_input, self._options.answer_tokens))

    def grade(self, task: Task, rubric: Rubric, *, explain: bool = False) -> Iterator[Outcome]:
        """One outcome for each video, in their order, each as soon as it and all before it are there.

        Raises:
            UserFacingError: the server cannot be used, or the budget is spent. All outcomes before are yielded first.
        """
        photos = [fit_picture(product.photo, self._options.max_pixels) for product in task.history]
        stop = threading.Event()
        waiting: deque[tuple[Future[Outcome], float]] = deque()
        try:
            for video in task.videos:
                question = self._question(task, photos, video, rubric, explain)
                if isinstance(question, NoVerdict):
                    waiting.append((_known(question), 0.0))
                else:
                    held = yield from self._hold(question.whole, waiting)
                    waiting.append((self._threads.submit(self._judge, question, held, stop), held))
                while waiting and waiting[0][0].done():
                    yield waiting.popleft()[0].result()
            while waiting:
                yield waiting.popleft()[0].result()
        finally:
            stop.set()
            for future, held in waiting:
                if future.cancel():  # otherwise it is on its way, and what it costs is counted
                    self._meter.release(held)

    def close(self) -> None:
        """Drop what is on its way, and the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._server.close()

    def _hold(self, size: Size, waiting: deque[tuple[Future[Outcome], float]]) -> Generator[Outcome, None, float]:
        """Hold what a judgment may cost.

        Those on their way were held at their worst: while the budget does not have this one, they are awaited.
        """
        while (held := self._meter.hold(size)) is None:
            if not waiting:
                raise self._meter.exhausted(size)
            yield waiting.popleft()[0].result()
        return held

    def _question(
        self,
        task: Task,
        photos: Sequence[Picture | None],
        video: ShownVideo,
        rubric: Rubric,
        explain: bool,
    ) -> "_Question | NoVerdict":
        if not task.history and task.query is None:
            return NoVerdict(Unscored.NO_HISTORY)
        frames, times_s = fit_frames(video, self._options.max_pixels)
        if not frames:
            return NoVerdict(Unscored.NO_FRAMES)
        lines = [Line(product.title, photo is not None) for product, photo in zip(task.history, photos, strict=True)]
        prompt = make_prompt(rubric, lines, video.title, query=task.query, still=video.still)
        seen = [photo for photo in photos if photo is not None]
        # A product's photo is the last image of the chat; frames are told when they were.
        shown = [] if video.still else frame_parts(frames, times_s, self._options.frames)
        content = fill_in([*prompt.shared, *prompt.own], [*seen, *frames] if video.still else seen, shown)
        n_characters = len(prompt.system) + sum(len(part.get("text", "")) for part in content)
        n_input = n_characters // CHARACTERS_PER_TOKEN + sum(picture.n_tokens for picture in (*seen, *frames))
        messages = ({"role": "system", "content": prompt.system}, {"role": "user", "content": content})
        answer = Size(n_input, self._options.answer_tokens)
        return _Question(messages, answer, Size(n_input, self._options.reason_tokens) if explain else None)

    def _judge(self, question: "_Question", held: float, stop: threading.Event) -> Outcome:
        try:
            outcome = self._label(question, stop)
            if question.reason is not None and isinstance(outcome, Verdict):
                outcome = replace(outcome, reason=self._reason(question, question.reason, outcome, stop))
            self._meter.count_judgment()
            return outcome
        finally:
            self._meter.release(held)

    def _label(self, question: "_Question", stop: threading.Event) -> Outcome:
        """Ask for the label, until the server takes the spelling of the choice: all later judgments use that."""
        while True:
            dialect = self._dialect
            try:
                reply = self._ask(question.messages, dialect.fields(question.answer.n_output), question.answer, stop)
            except RefusedError as error:
                outcome: Outcome = NoVerdict(Unscored.REFUSED, shorten(str(error)))
                # A server that took these fields before complains of this request, though it may repeat all of it.
                better = None if dialect == self._taken else dialect.after_complaint(str(error))
            except CutShortError as error:
                return NoVerdict(Unscored.TRUNCATED, shorten(str(error)))
            except _UnreadableError as error:
                return NoVerdict(Unscored.NO_VERDICT, shorten(str(error)))
            else:
                outcome, better = read_outcome(reply), dialect.after_reply(reply)
                self._taken = dialect if better is None else self._taken
            if better is None:
                return outcome
            self._learn(dialect, better)
            self._meter.check(question.answer)

    def _learn(self, asked: Dialect, better: Dialect) -> None:
        with self._lock:
            if self._dialect == asked:  # else another thread has learned it, or more
                self._dialect = better
                logger.info("the server does not take %s, trying %s", asked, better)

    def _reason(self, question: "_Question", size: Size, verdict: Verdict, stop: threading.Event) -> str | None:
        """One sentence on why, of the same chat; None where the server gives none."""
        label = LABELS[SCORES.index(verdict.grade)]
        messages = (
            *question.messages,
            {"role": "assistant", "content": label},
            {"role": "user", "content": WHY},
        )
        try:
            reply = self._ask(messages, self._dialect.fields(size.n_output, labels=False), size, stop)
        except (RefusedError, CutShortError, _UnreadableError):
            return None
        return shorten(reply.text, REASON) or None

    def _ask(
        self, messages: Sequence[Mapping[str, Any]], fields: Mapping[str, Any], size: Size, stop: threading.Event
    ) -> Reply:
        def failed(was_read: bool) -> None:
            self._meter.count_failure()
            if was_read:  # what the server did for it may be charged
                self._meter.count(size, None, None)
            self._meter.check(size)

        body = self._server.complete(messages, fields, stop, failed)
        try:
            reply = parse_reply(body)
        except ValueError as error:
            self._meter.count(size, None, None)
            raise _UnreadableError(f"not a reply: {body[:1000].decode(errors='replace')}") from error
        self._meter.count(size, reply.n_input, reply.n_output)
        return reply


class _UnreadableError(Exception):
    """The answer is not JSON, or not of this protocol."""


def _known(outcome: Outcome) -> Future[Outcome]:
    future: Future[Outcome] = Future()
    future.set_result(outcome)
    return future


def _fingerprint(address: Address, options: EndpointOptions, models: Sequence[Mapping[str, Any]]) -> str:
    """The model's name and twelve hexadecimal digits of all that could change a grade and is known.

    Of what the server says of the model, `created` is left out: vLLM and SGLang put the time of the request there, and
    no judgment would ever be found again.
    """
    served = next((one for one in models if one.get("id") == address.model), {})
    parts = {
        "chat": _CHAT,
        "host": address.host,
        "model": address.model,
        "served": {name: served.get(name) for name in ("id", "root", "parent")},
        "pictures": [options.max_pixels, QUALITY, options.frames],
        "answer": [options.choice, options.answer_tokens, TEMPERATURE, TOP],
    }
    return f"{address.model}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"
