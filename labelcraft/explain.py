"""What a saved label says of each watch time and duration: a grid, without explicit feedback and with each kind."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelcraft.feedback import Feedback, Floats
from labelcraft.labels.files import open_label, read_manifest
from labelcraft.labels.protocol import Label, unit_labels
from retrieval.errors import ConfigError
from retrieval.folders import writing

PAGE, PICTURE, GRID = "label.html", "label.png", "label.json"
NOTHING, ANY = "no explicit feedback", "any explicit feedback"
N_STEPS = 97  # on each axis: smooth to look at, and small enough to keep as JSON
WATCH_REACH, DURATION_REACH = "watch_s_p95", "duration_s_p95"
SECONDS = 60.0  # to where an axis goes when neither the label nor the user says


@dataclass(frozen=True)
class Panel:
    """The label of every cell, `(n_durations, n_watches)` in [0, 1], with one kind of feedback or none.

    *lift* is its mean above that of no explicit feedback, and *least* and *most* the smallest and largest of a cell.
    """

    name: str
    values: Floats
    lift: float
    least: float
    most: float


@dataclass(frozen=True)
class Explanation:
    """A label over *watch_s* and *duration_s*, both ascending, in seconds; *panels*, the first without feedback.

    *rises* is the share of steps along watch time at which the first panel rises, *falls* at which it falls.
    """

    name: str
    head: str
    watch_s: Floats
    duration_s: Floats
    panels: tuple[Panel, ...]
    rises: float
    falls: float

    @property
    def numbers(self) -> dict[str, Any]:
        """All of it as plain values; rows of a panel are durations."""
        return {
            "label": self.name,
            "head": self.head,
            "watch_s": self.watch_s.round(4).tolist(),
            "duration_s": self.duration_s.round(4).tolist(),
            "rises_with_watch": self.rises,
            "falls_with_watch": self.falls,
            "panels": [
                {"feedback": panel.name, "lift": panel.lift, "least": panel.least, "most": panel.most,
                 "label": panel.values.round(5).tolist()}
                for panel in self.panels
            ],
        }  # fmt: skip


def explain_label(label: Label, kinds: tuple[str, ...], watch_s: float, duration_s: float) -> Explanation:
    """A fitted label on a grid from 0 to *watch_s* and from a step above 0 to *duration_s*.

    Args:
        kinds: those of the log that it was fitted on; () where none is known, which any one feedback stands for.
    """
    watches, durations = np.linspace(0.0, watch_s, N_STEPS), np.linspace(0.0, duration_s, N_STEPS + 1)[1:]
    grids = {NOTHING: _labels(label, watches, durations, kinds or (ANY,), None)}
    for column, kind in enumerate(kinds or (ANY,)):
        grids[kind] = _labels(label, watches, durations, kinds or (ANY,), column)
    base = grids[NOTHING]
    panels = tuple(
        Panel(name, grid, float((grid - base).mean()), float((grid - base).min()), float((grid - base).max()))
        for name, grid in grids.items()
    )
    steps = np.diff(base, axis=1)
    rises, falls = float((steps > 0).mean()), float((steps < 0).mean())
    return Explanation(label.name, label.head.value, watches, durations, panels, rises, falls)


def explain_folder(
    folder: Path, out: Path, watch_s: float | None = None, duration_s: float | None = None
) -> tuple[Explanation, Path]:
    """Write what the label saved in *folder* says to *out*: a page, a picture and the grid; the page's path.

    Args:
        watch_s: to where the axis goes; by default the 95th percentile of the rows that the label was fitted on.

    Raises:
        ModelError: *folder* holds no label, or a damaged one.
        ConfigError: an axis has no length.
    """
    label, manifest = open_label(folder), read_manifest(folder)
    reaches = [
        reach_of(manifest, watch_s, WATCH_REACH, "watch"), reach_of(manifest, duration_s, DURATION_REACH, "duration")
    ]  # fmt: skip
    if min(reaches) <= 0:
        raise ConfigError("The map would have no size.", "Give --watch and --duration more than 0 seconds.")
    made = explain_label(label, kinds_of(manifest), *reaches)
    return made, write_explanation(made, out)


def reach_of(manifest: Mapping[str, Any], asked: float | None, remembered: str, scale: str) -> float:
    """To where an axis goes: as *asked*, as the label's folder remembers, or where a learned label's scale bends."""
    if asked is not None:
        return asked
    if manifest["fitted_on"].get(remembered):
        return float(manifest["fitted_on"][remembered])
    scales = manifest["fields"].get("scales", {})
    return 2 * float(scales[scale]["at_beta"]) if scales.get(scale, {}).get("at_beta") else SECONDS


def kinds_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The kinds of explicit feedback that a saved label knows of."""
    return tuple(manifest["fields"].get("kinds") or manifest["fitted_on"].get("kinds") or ())


def write_explanation(made: Explanation, out: Path) -> Path:
    """Write the page, the picture of all panels and the grid."""
    from labelcraft.report.figures import Heat, heat_svg, heats_png
    from labelcraft.report.templates import make_template, markup

    heats = [Heat(panel.values, made.watch_s, made.duration_s) for panel in made.panels]
    titles = [panel.name for panel in made.panels]
    picture = heats_png(heats, titles)
    text = make_template("labelcraft.report", "label.html.j2").render(
        made=made,
        nothing=NOTHING,
        maps=[markup(heat_svg(heat, title)) for heat, title in zip(heats, titles, strict=True)],
        picture=base64.b64encode(picture).decode(),
    )
    with writing(out / GRID) as draft:
        draft.write_text(json.dumps(made.numbers) + "\n")
    with writing(out / PICTURE) as draft:
        draft.write_bytes(picture)
    with writing(out / PAGE) as draft:
        draft.write_text(text, encoding="utf-8")
    return out / PAGE


def fitted_on(feedback: Feedback) -> dict[str, Any]:
    """What a label's folder remembers of the rows it was fitted on: how many, their kinds, and how far they reach."""
    return {
        "rows": len(feedback),
        "kinds": list(feedback.kinds),
        WATCH_REACH: float(np.percentile(feedback.watch_s, 95)),
        DURATION_REACH: float(np.percentile(feedback.duration_s, 95)),
    }


def _labels(label: Label, watches: Floats, durations: Floats, kinds: tuple[str, ...], given: int | None) -> Floats:
    """The grid `(n_durations, n_watches)` with the kind of column *given* on every cell."""
    watch, duration = (axis.ravel() for axis in np.meshgrid(watches, durations))
    explicit = np.zeros((len(watch), len(kinds)), np.bool_)
    if given is not None:
        explicit[:, given] = True
    feedback = Feedback(watch, duration, explicit, kinds)
    return unit_labels(label, feedback).astype(np.float64).reshape(len(durations), len(watches))
