"""Runs `lookreel` in this process, as a person would."""

import sys

import pytest

from lookreel.cli import main


def caller(monkeypatch, capsys):
    """What runs a command where the test is: (exit code, standard output, standard error)."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["lookreel", *map(str, args)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return stopped.value.code or 0, printed.out, printed.err

    return call
