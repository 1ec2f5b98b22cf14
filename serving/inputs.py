"""What the service is given to start with, beside its settings: its secret, an experiment, a judge's grades."""

from pathlib import Path

import polars as pl

from retrieval.config import Config
from retrieval.errors import ConfigError
from retrieval.tables import Columns as C
from serving.buckets import Experiment, read_experiment
from serving.identity import ENVIRONMENT, load_secret
from serving.settings import Settings


def secret_of(settings: Settings) -> bytes:
    """The deployment's secret: that of the settings, or of the state's folder.

    Raises:
        ConfigError: it is too short.
    """
    return load_secret(settings.state, {ENVIRONMENT: settings.secret.get_secret_value()})


def read_experiment_of(config: Config) -> Experiment | None:
    """The experiment of lookreel.toml, if it names one.

    Raises:
        ConfigError: it cannot be used.
    """
    if config.experiment is None:
        return None
    return read_experiment(config.experiment, config.systems)


def load_grades(path: Path) -> dict[tuple[str, str], int]:
    """The judge's grade by (user_id, video_id) of a grades.parquet.

    Raises:
        ConfigError: it cannot be read, or a column is missing.
    """
    try:
        table = pl.read_parquet(path, columns=[C.USER_ID, C.VIDEO_ID, "grade"]).drop_nulls()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigError(f"{path} cannot be used as grades: {error}.", "Make it: lookreel judge report") from error
    return {(user_id, video_id): grade for user_id, video_id, grade in table.iter_rows()}
