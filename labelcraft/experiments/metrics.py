"""What is measured in each bucket: metrics made of sums per user, their names for people, and the guards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from retrieval.errors import ConfigError
from retrieval.tables import Columns as C

FEEDS, STARTS, KNOWN, WATCHED_25, WATCHED_50 = "feeds", "starts", "known_starts", "watched_25", "watched_50"
WATCH_S, SKIPS, LENGTH_S = "watch_s", "skips", "length_s"
SUMS = (FEEDS, STARTS, KNOWN, WATCHED_25, WATCHED_50, WATCH_S, SKIPS, LENGTH_S)
SKIP_S = 2.0  # a start that ends sooner, before half of the video, was a mistake of the feed
LOWER, HIGHER = "lower", "higher"


@dataclass(frozen=True)
class Metric:
    """A ratio of sums over users: of *numerator* to *denominator*, or to the number of users where that is empty.

    *name* is for people; *says* is the sentence of a verdict on it, with places for {treatment}, {control}, {by} so
    many per cent, and {more}, {longer} or {raised}, which turn with the sign. *scale* brings the value into *unit*.
    """

    key: str
    name: str
    numerator: str
    denominator: str = ""
    unit: str = "a user"
    scale: float = 1.0
    says: str = ""
    higher_is_better: bool = True


METRICS: Mapping[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric(
            WATCHED_50, "videos watched to the half", WATCHED_50,
            says="{treatment} watched {by} {more} videos to the half than {control}",
        ),
        Metric(
            WATCHED_25, "videos watched to a quarter", WATCHED_25,
            says="{treatment} watched {by} {more} videos to a quarter than {control}",
        ),
        Metric("started", "videos started", STARTS, says="{treatment} started {by} {more} videos than {control}"),
        Metric(
            "rate_25", "starts that reach a quarter", WATCHED_25, KNOWN, "% of starts", 100.0,
            says="{treatment} {raised} the share of starts that reach a quarter by {by} against {control}",
        ),
        Metric(
            "rate_50", "starts that reach the half", WATCHED_50, KNOWN, "% of starts", 100.0,
            says="{treatment} {raised} the share of starts that reach the half by {by} against {control}",
        ),
        Metric(
            "watch_time", "watch time", WATCH_S, unit="s a user",
            says="{treatment} watched {by} {longer} than {control}",
        ),
    )
}  # fmt: skip
PRIMARY = WATCHED_50
GUARDS: Mapping[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric(FEEDS, "feeds opened", FEEDS),
        Metric(SKIPS, "starts left within 2 s", SKIPS, STARTS, "% of starts", 100.0, higher_is_better=False),
        Metric("length", "length of the videos started", LENGTH_S, KNOWN, "s"),
        Metric("likes", "likes", C.LIKED),
        Metric("comments", "comments", C.COMMENTED),
        Metric("follows", "follows", C.FOLLOWED),
        Metric("shares", "shares", C.SHARED),
    )
}
ALWAYS = (FEEDS, SKIPS, "length")


def parse_metric(text: str) -> Metric:
    """The metric called *text*.

    Raises:
        ConfigError: there is none.
    """
    if text not in METRICS:
        raise ConfigError(f"--primary is {text!r}, which is no metric.", f"Choose one of {', '.join(METRICS)}.")
    return METRICS[text]


def parse_guards(text: str | None, columns: Sequence[str]) -> tuple[Metric, ...]:
    """The guards named with commas, each with `:lower` where less is better; by default those that *columns* allow.

    A name is one of `GUARDS` or a column of numbers or flags of the impressions, summed per user over reached slots.

    Raises:
        ConfigError: a guard is neither, or its column is not there.

    >>> parse_guards("likes,returns:lower", ["liked", "returns"])[1].higher_is_better
    False
    """
    if text is None:
        return tuple(m for key, m in GUARDS.items() if key in ALWAYS or m.numerator in columns)
    names = dict.fromkeys(part.strip() for part in text.split(",") if part.strip() not in ("", "none"))
    return tuple(_parse_guard(name, columns) for name in names)


def _parse_guard(text: str, columns: Sequence[str]) -> Metric:
    name, _, side = text.partition(":")
    metric = GUARDS.get(name, Metric(name, name, name))
    if side not in ("", LOWER, HIGHER):
        raise ConfigError(f"--guards has {text!r}.", f"Write {name}, {name}:{LOWER} or {name}:{HIGHER}.")
    if metric.numerator not in SUMS and metric.numerator not in columns:
        raise ConfigError(
            f"--guards has {name}, but the impressions have no column {metric.numerator}.",
            f"Choose of {', '.join(GUARDS)}, or a column of them: {', '.join(columns)}.",
        )
    return replace(metric, higher_is_better=side == HIGHER) if side else metric
