"""What tests find outside: the installed command, and real material beside the checkout (else the test is skipped)."""

import sys
from pathlib import Path

import pytest

LOOKREEL = str(Path(sys.executable).with_name("lookreel"))
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
