"""What the requests to a server cost, and a budget that no request is sent beyond."""

import threading
from dataclasses import dataclass, replace

from retrieval.errors import UserFacingError

FIRST_SCALE = 1.5  # until the server has counted, what a request may take is thought larger than its estimate
CHARACTERS_PER_TOKEN = 3  # of English text it is nearer 4


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost, in any currency; 0 where nothing is known."""

    per_million_input: float = 0.0
    per_million_output: float = 0.0

    def of(self, n_input: float, n_output: float) -> float:
        """What so many tokens cost.

        >>> Prices(2.0, 8.0).of(500_000, 250_000)
        3.0
        """
        return (n_input * self.per_million_input + n_output * self.per_million_output) / 1e6


@dataclass(frozen=True)
class Usage:
    """What a judge has taken so far.

    *n_estimated* of the requests were not counted by the server, but estimated; *n_failed* came to nothing and were
    tried again or given up.
    """

    n_judgments: int = 0
    n_requests: int = 0
    n_estimated: int = 0
    n_failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    @property
    def tokens_per_judgment(self) -> float:
        """The mean of all tokens; NaN before the first judgment."""
        return (self.input_tokens + self.output_tokens) / self.n_judgments if self.n_judgments else float("nan")


@dataclass(frozen=True)
class Size:
    """The tokens that a request is expected to read, and may write at most."""

    n_input: int
    n_output: int

    def __add__(self, other: "Size") -> "Size":
        return Size(self.n_input + other.n_input, self.n_output + other.n_output)


class Meter:
    """Counts what was used, and holds back what requests on their way may cost. For several threads."""

    def __init__(self, prices: Prices, budget: float | None = None) -> None:
        self.knows_prices = prices.per_million_input + prices.per_million_output > 0
        if budget is not None and not self.knows_prices:
            raise UserFacingError(
                f"A budget of {budget:g} needs prices, and there are none.",
                "Say what a million tokens of input and of output cost.",
            )
        self._prices, self._budget = prices, budget
        self._lock = threading.Lock()
        self._usage, self._held, self._scale = Usage(), 0.0, FIRST_SCALE

    @property
    def usage(self) -> Usage:
        return self._usage

    def cost(self, size: Size) -> float:
        """What a request of this size may cost: its estimate, as wrong as the worst that the server has counted."""
        return self._prices.of(size.n_input * self._scale, size.n_output)

    def hold(self, size: Size) -> float | None:
        """Put aside what requests may cost, and say how much; None where the budget does not have it."""
        with self._lock:
            cost = self.cost(size)
            if self._budget is not None and self._usage.cost + self._held + cost > self._budget:
                return None
            self._held += cost
            return cost

    def release(self, cost: float) -> None:
        """What was held is free again: it was counted since, or never spent."""
        with self._lock:
            self._held -= cost

    def count(self, expected: Size, n_input: int | None, n_output: int | None) -> None:
        """Count a request: what the server counted, and what was expected where it does not."""
        with self._lock:
            if n_input is not None and expected.n_input:
                ratio = n_input / expected.n_input
                # The first count replaces the guess; afterwards the worst counts.
                counted = self._usage.n_requests > self._usage.n_estimated
                self._scale = max(self._scale, ratio) if counted else max(1.0, ratio)
            read = expected.n_input if n_input is None else n_input
            written = expected.n_output if n_output is None else n_output
            used = self._usage
            self._usage = replace(
                used,
                n_requests=used.n_requests + 1,
                n_estimated=used.n_estimated + (n_input is None),
                input_tokens=used.input_tokens + read,
                output_tokens=used.output_tokens + written,
                cost=used.cost + self._prices.of(read, written),
            )

    def check(self, size: Size) -> None:
        """Stop before one more request for a judgment that was held already: what came of the first was of no use.

        Raises:
            UserFacingError: the budget does not have it.
        """
        with self._lock:
            over = self._budget is not None and self._usage.cost + self._held > self._budget
        if over:
            raise self.exhausted(size)

    def count_judgment(self) -> None:
        with self._lock:
            self._usage = replace(self._usage, n_judgments=self._usage.n_judgments + 1)

    def count_failure(self) -> None:
        with self._lock:
            self._usage = replace(self._usage, n_failed=self._usage.n_failed + 1)

    def exhausted(self, size: Size) -> UserFacingError:
        """What to say when the budget does not have what the next judgment may cost."""
        used = self._usage
        return UserFacingError(
            f"The budget of {self._budget:g} does not have another judgment: {used.cost:.4g} was spent on "
            f"{used.n_judgments} judgments, and the next may cost {self.cost(size):.4g}.",
            "Raise the budget and run again: what is judged is kept.",
        )
