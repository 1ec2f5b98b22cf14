"""Fitted labels as folders: a manifest that says what the label is, and its arrays beside it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from labelcraft.labels.protocol import Label, State
from labelcraft.labels.registry import LABELS, LEARNED, label_class
from retrieval.errors import ModelError
from retrieval.folders import MANIFEST, building, sha256_of

LABEL = "label"  # the kind of these folders
FORMAT = 1
ARRAYS = "label.safetensors"
AGAIN = "Make it again: lookreel labels train --help"


def save_label(
    label: Label, folder: Path, *, fitted_on: Mapping[str, Any] | None = None, overwrite: bool = False
) -> None:
    """Write a fitted label to *folder*, which is whole or absent.

    Args:
        fitted_on: what to remember of the training rows, that JSON can hold: the log, the times between which they lie.
        overwrite: replace the label that stands there; nothing else is ever replaced.

    Raises:
        UserFacingError: *folder* holds something.
        ValueError: the label was not fitted.
    """
    state = label.state()
    with building(folder, replaces=LABEL if overwrite else "") as draft:
        save_file({name: np.ascontiguousarray(array) for name, array in state.arrays.items()}, draft / ARRAYS)
        manifest = {
            "kind": LABEL,
            "format": FORMAT,
            "name": label.name,
            "head": label.head,
            "fields": dict(state.fields),
            "fitted_on": dict(fitted_on or {}),
            "arrays": sha256_of(draft / ARRAYS),
        }
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def open_label(folder: Path) -> Label:
    """The label that was saved in *folder*.

    Raises:
        ModelError: there is none, or it is damaged, of another format, or of a label that is not known here.
        MissingExtraError: what it needs is not installed.
    """
    manifest = read_manifest(folder)
    try:
        label = label_class(manifest["name"]).from_state(State(manifest["fields"], _arrays(folder, manifest["arrays"])))
        if label.head != manifest["head"]:
            raise ValueError(f"its head is {manifest['head']!r}, and that of {label.name} is {label.head.value!r}")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"The label in {folder} is damaged: {error}.", AGAIN) from error
    return label


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the manifest of a saved label says: name, head, fields, fitted_on.

    Raises:
        ModelError: *folder* holds no label, or one of another format or name.
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise ModelError(f"{folder} is not a label: it has no {MANIFEST}.", AGAIN)
    try:
        manifest = json.loads(file.read_text())
        kind, version, name = manifest["kind"], manifest["format"], str(manifest["name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} is damaged: {error}.", AGAIN) from error
    if kind != LABEL or version != FORMAT:
        raise ModelError(f"{folder} is {kind} of format {version}, not a label of format {FORMAT}.", AGAIN)
    if name not in LABELS and name not in LEARNED:
        known = ", ".join((*LABELS, *LEARNED))
        raise ModelError(f"{folder} holds the label {name!r}, which is not known here; known are {known}.", AGAIN)
    return dict(manifest)


def _arrays(folder: Path, checksum: str) -> dict[str, NDArray[Any]]:
    if sha256_of(folder / ARRAYS) != checksum:
        raise ValueError(f"{ARRAYS} differs from what its manifest says")
    return dict(load_file(folder / ARRAYS))
