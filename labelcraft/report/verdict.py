"""The verdict on a comparison in plain words: what a reader takes away if nothing else."""

from dataclasses import dataclass

from labelcraft.report.aligned import LEARNED, METRICS, Metric
from labelcraft.report.numbers import Place, Row, Standing, Table
from labelcraft.report.words import Level, listed, number


@dataclass(frozen=True)
class Verdict:
    """One sentence, *headline*, and what limits it."""

    level: Level
    headline: str
    details: tuple[str, ...]

    @property
    def line(self) -> str:
        """All of it, for a terminal."""
        return " ".join((self.headline, *self.details))


def conclude(table: Table, k: int, cut_short: int = 0) -> Verdict:
    """The verdict of a table whose lists are *k* long.

    Args:
        cut_short: how many trainings ended at their last epoch, not because nothing better came.
    """
    learned = [row for row in table.labels if row.name == LEARNED]
    if len(table.labels) == 1:
        headline = f"Only {table.labels[0].name} was trained, so there is nothing to compare it with."
        return Verdict(Level.OPEN, headline, _limits(table, cut_short))
    if not learned:
        return Verdict(Level.OPEN, _best_labels(table, k), _limits(table, cut_short))
    row = learned[0]
    return Verdict(_level(row), _stands(row, k), (*_beats(table, k), *_limits(table, cut_short)))


def standing_words(standing: Standing, metric: Metric) -> str:
    """How a label stands on a metric: best, within the interval of the best, or worse by how much."""
    if standing.behind is None:
        return "best"
    by = f"{written(abs(standing.behind.estimate.mean), metric)}"
    if standing.place is Place.LEVEL:
        return f"level with {standing.best}, {by} behind"
    return f"{by} behind {standing.best}"


def written(value: float, metric: Metric, sign: bool = False) -> str:
    """A number of a metric with its unit, a true minus, and a dash where there is none.

    >>> written(-0.0312, METRICS[0]), written(2.5, METRICS[1], sign=True)
    ('−0.031', '+2.50 s')
    """
    if value != value:
        return "–"
    return f"{number(value, metric.digits, sign)} {metric.unit}".strip()


def _level(row: Row) -> Level:
    places = [standing.place for standing in row.standings.values()]
    if places and all(place is not Place.WORSE for place in places):
        return Level.GOOD
    return Level.MIXED if any(place is not Place.WORSE for place in places) else Level.BAD


def _stands(row: Row, k: int) -> str:
    """Where the row is best, where level, where worse: the parts that there are."""
    found = [(metric, row.standings[metric.column]) for metric in METRICS if metric.column in row.standings]
    best = [metric.title(k) for metric, standing in found if standing.place is Place.BEST]
    level = [f"{metric.title(k)} ({s.best})" for metric, s in found if s.place is Place.LEVEL]
    worse = [
        f"{written(abs(s.behind.estimate.mean), metric)} behind {s.best} on {metric.title(k)}"
        for metric, s in found
        if s.place is Place.WORSE and s.behind
    ]
    parts = [
        f"best on {listed(best)}" if best else "",
        f"within the interval of the best on {listed(level)}" if level else "",
        *worse,
    ]
    return f"{row.name} is {listed([part for part in parts if part])}."


def _best_labels(table: Table, k: int) -> str:
    titles: dict[str, list[str]] = {}
    for metric in METRICS:
        for row in table.labels:
            if _is_best(row, metric):
                titles.setdefault(row.name, []).append(metric.title(k))
    words = [f"{name} is best on {listed(of_name)}" for name, of_name in titles.items()]
    return f"Of {len(table.labels)} labels, {listed(words)}."


def _is_best(row: Row, metric: Metric) -> bool:
    return metric.column in row.standings and row.standings[metric.column].place is Place.BEST


def _beats(table: Table, k: int) -> tuple[str, ...]:
    if table.target != LEARNED:
        return ()
    titles = [metric.title(k) for metric in METRICS if metric.column in table.beaten]
    if not titles:
        return ("On no metric is it better than every other label with an interval that excludes zero.",)
    return (f"It is better than every other label on {listed(titles)}, with intervals that exclude zero.",)


def _limits(table: Table, cut_short: int) -> tuple[str, ...]:
    """What the reader must know before trusting the headline."""
    counts = [len(row.seeds) for row in table.labels]
    said = {
        f"It is not finished: labels have {min(counts)} to {max(counts)} seeds.": min(counts) < max(counts),
        "One seed: the intervals are over users alone.": max(counts) == 1,
        f"{cut_short} trainings ended at their last epoch and might have risen further.": cut_short > 1,
        "One training ended at its last epoch and might have risen further.": cut_short == 1,
    }
    return tuple(text for text, is_so in said.items() if is_so)
