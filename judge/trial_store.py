"""Answers to trials, kept as they come: a run that is killed goes on where it stopped."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import polars as pl

from judge.protocol import Judge
from judge.rubric import Rubric
from judge.store import LOCK
from judge.trials import Row, Trial, run_trial, table_of
from retrieval.errors import UserFacingError
from retrieval.folders import locked

TRIALS = "reliability.jsonl"
Progress = Callable[[int, int], None]


def run_trials(judge: Judge, rubric: Rubric, trials: Sequence[Trial], folder: Path, progress: Progress) -> pl.DataFrame:
    """The answers to all trials, of which only those are put to the judge that *folder* does not hold.

    Raises:
        UserFacingError: another process writes there, or the judge cannot go on; what it answered until then is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = UserFacingError(f"Another process writes to {folder}.", "Wait for it to end.")
    with locked(folder / LOCK, taken):
        known = _load(folder / TRIALS)
        rows: list[Row] = []
        with (folder / TRIALS).open("ab") as file:
            for number, trial in enumerate(trials):
                key = trial.key(judge.fingerprint, rubric)
                if key not in known:
                    known[key] = run_trial(judge, rubric, trial)
                    file.write(orjson.dumps({"key": key, "rows": known[key]}, option=orjson.OPT_APPEND_NEWLINE))
                    file.flush()
                rows += known[key]
                progress(number + 1, len(trials))
    return table_of(rows)


def _load(path: Path) -> dict[str, list[Row]]:
    """The answers in the file, by the trial's key; a last line that was cut is cut off."""
    if not path.exists():
        return {}
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        os.truncate(path, len(whole))
    try:
        return {line["key"]: line["rows"] for line in map(orjson.loads, whole.splitlines())}
    except (ValueError, KeyError, TypeError) as error:
        raise UserFacingError(f"{path} cannot be read: {error}.", "Remove it; the trials are made again.") from error
