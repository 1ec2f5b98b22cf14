"""Readers by name, and that decord leaves the rest of the process alone."""

import subprocess
import sys

import pytest

from indexing.decode.decord import DecordReader
from indexing.decode.protocol import Accuracy
from indexing.decode.pyav import PyAvReader
from indexing.decode.readers import open_reader
from retrieval.errors import ConfigError


def test_readers_are_opened_by_name():
    assert open_reader("pyav", "nearest") == PyAvReader(Accuracy.NEAREST)
    assert open_reader("decord") == DecordReader(Accuracy.EXACT)


@pytest.mark.parametrize(
    ("name", "accuracy", "words"), [("opencv", "exact", "pyav, decord"), ("pyav", "near", "exact, nearest")]
)
def test_unknown_names_are_refused_with_the_known_ones(name, accuracy, words):
    with pytest.raises(ConfigError, match=words):
        open_reader(name, accuracy)


def test_torch_still_multiplies_after_decord_was_imported():
    # decord loads torch's CUDA libraries for all to see, and one of them would stand in for BLAS and crash.
    program = (
        "from indexing.decode.decord import import_decord; import_decord(); import torch; "
        "print(float((torch.ones(300, 300) @ torch.ones(300, 300))[0, 0]))"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)

    assert (ended.returncode, ended.stdout.strip()) == (0, "300.0")
