"""The labels by name. A new label is one file, and its line here."""

from importlib import import_module
from typing import cast

from labelcraft.labels.completion import PlayCompletion, PlayCompletionRate
from labelcraft.labels.duration_to_quantile import DurationToQuantile
from labelcraft.labels.explicit import ExplicitFeedback
from labelcraft.labels.protocol import Label
from labelcraft.labels.views import EffectiveView, LongView
from labelcraft.labels.watch_time import WatchTime
from labelcraft.labels.watch_time_gain import WatchTimeGain
from labelcraft.labels.watched import WatchedHalf
from retrieval.errors import ConfigError, import_extra

LABELS: dict[str, type[Label]] = {
    "WT": WatchTime,
    "EF": ExplicitFeedback,
    "PC": PlayCompletion,
    "PCR": PlayCompletionRate,
    "D2Q": DurationToQuantile,
    "DVR": WatchTimeGain,
    "EV": EffectiveView,
    "LV": LongView,
    "W50": WatchedHalf,
}
LEARNED = {"LabelCraft": ("labelcraft.labels.learned", "LearnedLabel")}
"""Labels that training makes, not `fit`: module and class, imported where one is opened, since they need torch."""


def make_label(name: str) -> Label:
    """The label called *name*, not fitted.

    Raises:
        ConfigError: there is none, or it is learned.
    """
    if name in LEARNED:
        raise ConfigError(
            f"{name} is a learned label, which no rows are fitted to.",
            f"Train it with lookreel labels train --label {name}, and name its folder.",
        )
    if name not in LABELS:
        raise _unknown(name)
    return LABELS[name]()


def label_class(name: str) -> type[Label]:
    """The class of the label called *name*, learned or not.

    Raises:
        ConfigError: there is none.
        MissingExtraError: what it needs is not installed.
    """
    if name in LABELS:
        return LABELS[name]
    if name not in LEARNED:
        raise _unknown(name)
    module, cls = LEARNED[name]
    import_extra("torch", "train")
    return cast(type[Label], getattr(import_module(module), cls))


def parse_spec(text: str) -> tuple[str, ...]:
    """The labels that one recommender is trained on: one, or several tasks joined by +.

    Raises:
        ConfigError: one is not known, learned beside others, or named twice.

    >>> parse_spec("WT+EF")
    ('WT', 'EF')
    """
    names = tuple(name.strip() for name in text.split("+"))
    for name in names:
        if name not in LABELS and name not in LEARNED:
            raise _unknown(name)
    if len(names) > 1 and not LEARNED.keys().isdisjoint(names):
        raise ConfigError(f"{text} joins a learned label with others.", "Name it alone: it is made of all feedback.")
    if len(set(names)) < len(names):
        raise ConfigError(f"{text} names a label twice.", "Name each once.")
    return names


def _unknown(name: str) -> ConfigError:
    return ConfigError(f"There is no label {name!r}.", f"Choose one of {', '.join((*LABELS, *LEARNED))}.")
