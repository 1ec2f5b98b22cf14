"""A trained tower as a folder, whole or absent.

manifest.json           what it is, the label, all options, the split, checksums
weights.safetensors     of the tower
vocabulary.json         the levels of its features
label/                  the fitted label
metrics.json            how training went; curve.png draws it
vectors.json, video_vectors.parquet, user_vectors.parquet      what is served: `retrieval.conventional`
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from labelcraft.conventional.calibration import Line
from labelcraft.conventional.features import Videos, Vocabulary
from labelcraft.conventional.options import TowerOptions
from labelcraft.conventional.tower import Tower, make_tower
from labelcraft.labels.files import save_label
from labelcraft.labels.protocol import Label
from retrieval.conventional import ABOUT_FILE, RunVectors, open_vectors, save_vectors
from retrieval.errors import ModelError
from retrieval.folders import MANIFEST, building, kind_of, sha256_of

KIND, FORMAT = "conventional-run", 1
WEIGHTS, VOCABULARY, METRICS, CURVE, LABEL = (
    "weights.safetensors", "vocabulary.json", "metrics.json", "curve.png", "label",
)  # fmt: skip
AGAIN = "Train it again: lookreel train conventional --help"


@dataclass(frozen=True)
class Run:
    """A tower as saved: *weights*, *vocabulary*, *options* and the *line* to logits; *vectors* are what is served."""

    weights: Mapping[str, torch.Tensor]
    vocabulary: Vocabulary
    options: TowerOptions
    line: Line
    vectors: RunVectors

    def tower(self, videos: Videos) -> Tower:
        """The trained tower over the videos of a catalogue, which may be newer than those it learned from."""
        tower = make_tower(videos, self.vocabulary, self.vectors.users, self.options)
        tower.model.load_state_dict(dict(self.weights))
        return tower


@dataclass(frozen=True)
class Draft:
    """All of a run before it is written. *metrics* and *about* are what JSON can hold; *curve* is a PNG."""

    run: Run
    label: Label
    metrics: Mapping[str, Any]
    about: Mapping[str, Any]
    curve: bytes


def save_run(folder: Path, draft: Draft, *, overwrite: bool = False) -> None:
    """Write a run to *folder*.

    Raises:
        UserFacingError: *folder* holds something, or with *overwrite* something else than a run.
    """
    run = draft.run
    with building(folder, replaces=KIND if overwrite else "") as place:
        save_file({name: value.contiguous() for name, value in run.weights.items()}, place / WEIGHTS)
        vocabulary = {"levels": dict(run.vocabulary.levels), "duration_edges_s": run.vocabulary.duration_edges_s}
        (place / VOCABULARY).write_text(json.dumps(vocabulary) + "\n")
        save_label(draft.label, place / LABEL)
        (place / METRICS).write_text(json.dumps(dict(draft.metrics), indent=1) + "\n")
        (place / CURVE).write_bytes(draft.curve)
        save_vectors(place, run.vectors)
        manifest = {
            "kind": KIND,
            "format": FORMAT,
            "options": json.loads(run.options.to_json()),
            "line": {"slope": run.line.slope, "offset": run.line.offset},
            "about": dict(draft.about),
            "checksums": {name: sha256_of(place / name) for name in (WEIGHTS, VOCABULARY)},
        }
        (place / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def open_run(folder: Path) -> Run:
    """The run in *folder*.

    Raises:
        ModelError: there is none, or it is damaged or of another format.
    """
    if kind_of(folder) != KIND:
        raise ModelError(f"{folder} is no run of lookreel train conventional.", AGAIN)
    try:
        said = json.loads((folder / MANIFEST).read_text())
        if said["format"] != FORMAT:
            raise ModelError(f"{folder} is of format {said['format']}, not {FORMAT}.", AGAIN)
        for name, checksum in said["checksums"].items():
            if sha256_of(folder / name) != checksum:
                raise ValueError(f"{name} differs from what its manifest says")
        words = json.loads((folder / VOCABULARY).read_text())
        levels = {name: tuple(some) for name, some in words["levels"].items()}
        return Run(
            load_file(folder / WEIGHTS),
            Vocabulary(levels, tuple(words["duration_edges_s"])),
            TowerOptions.from_json(json.dumps(said["options"])),
            Line(**said["line"]),
            open_vectors(folder),
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"The run in {folder} is damaged: {error}.", AGAIN) from error


def save_newer(folder: Path, out: Path, vectors: RunVectors) -> None:
    """Write the run of *folder* with other *vectors* to *out*, which may be *folder* itself."""
    with building(out, replaces=KIND) as place:
        for item in sorted(folder.iterdir()):
            copy = shutil.copytree if item.is_dir() else shutil.copy2
            copy(item, place / item.name)
        (place / ABOUT_FILE).unlink()
        save_vectors(place, replace(vectors, fingerprint=""))
