"""Real material beside the checkout, where there is some; a test that needs it is skipped where there is none."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def data_folder(name: str) -> Path:
    """A folder of the shared data, or skip."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"needs ../shared/data/{name}, which is not here")
    return folder


def decoder_file(name: str) -> Path:
    """One of the odd video files, or skip."""
    return data_folder("decoder") / name
