"""Bounds on what the compared systems show: `--gate FILE`."""

from dataclasses import replace

from labelcraft.evaluation.contestants import Contestant
from labelcraft.evaluation.lists import Lists
from labelcraft.evaluation.results import Evaluation
from labelcraft.evaluation.setting import Setting
from retrieval.errors import ConfigError
from retrieval.gate import Gate, Measures, Verdict, check, measures_of


def gate_verdicts(
    evaluation: Evaluation, setting: Setting, contestants: tuple[Contestant, ...], lists: Lists, gate: Gate
) -> Evaluation:
    """*evaluation* with what the gate says of the system it names, else of every system that makes lists.

    Bounds beside what is live are held against the system that lookreel.toml serves, on the same lists.

    Raises:
        ConfigError: the gate names a system that was not compared.
    """
    if gate.system and gate.system not in lists.by_system:
        raise ConfigError(
            f"The gate is for {gate.system}, which makes no lists here.", f"Compared are {', '.join(lists.by_system)}."
        )
    measured = {name: _measures(setting, one, lists, gate.k) for name, one in zip_configs(contestants, lists)}
    serving = str(setting.config["serving.system"])
    live = measured.get(serving)
    held = [gate.system] if gate.system else list(measured)
    absent = f"{serving}, which is served, was not compared" if gate.needs_live and live is None else ""
    verdicts = tuple(
        Verdict(name, measured[name], check(measured[name], gate.bounds, live), live, absent) for name in held
    )
    return replace(evaluation, gates=verdicts)


def zip_configs(contestants: tuple[Contestant, ...], lists: Lists) -> list[tuple[str, Contestant]]:
    """The contestants that make lists, by name."""
    return [(one.name, one) for one in contestants if one.name in lists.by_system]


def _measures(setting: Setting, one: Contestant, lists: Lists, k: int) -> Measures:
    listed = lists.by_system[one.name]
    where = one.config.where if one.config else ()
    eligible = setting.snapshot.eligible(setting.split.at_us, where)
    return measures_of(listed.rows[:, :k], eligible, setting.feeds.videos.duration_s, listed.fallback)
