"""Tasks that do to their reader what bad files do, in a module that workers import quickly."""

import ctypes
import errno
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexing.media import ReadItem


class UnspeakableError(Exception):
    def __str__(self):
        raise ValueError("no words")


@dataclass(frozen=True)
class Fine:
    """Gives its own name as its hash, after *delay_s* seconds."""

    uri: str
    delay_s: float = 0.0

    def read(self):
        time.sleep(self.delay_s)
        self.misbehave()
        return ReadItem(self.uri, ())

    def misbehave(self):
        pass


class Sleeps(Fine):
    def misbehave(self):
        time.sleep(1000)


class HangsInLibrary(Fine):
    """As decoders do: in C, with the interpreter locked, so that no Python code runs."""

    def misbehave(self):
        ctypes.PyDLL(None).sleep(1000)


class Exits(Fine):
    def misbehave(self):
        os._exit(3)


class Segfaults(Fine):
    def misbehave(self):
        ctypes.string_at(0)


class IsKilled(Fine):
    def misbehave(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Gorges(Fine):
    def misbehave(self):
        np.ones(10_000_000_000, np.uint8)


class IsToldOfNoMemory(Fine):
    def misbehave(self):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")


class Raises(Fine):
    def misbehave(self):
        raise NotImplementedError("a codec of the future")  # as Pillow says of some files: one that nobody foresaw


class Quits(Fine):
    def misbehave(self):
        sys.exit("a library that thinks it is a program")


class IsUnspeakable(Fine):
    def misbehave(self):
        raise UnspeakableError


class GivesWhatCannotBeSent(Fine):
    def read(self):
        return lambda: None


class Prints(Fine):
    def misbehave(self):
        os.write(1, b"from C\n")
        sys.stdout.write("from Python\n")
        sys.stdout.flush()


class TellsProcess(Fine):
    def misbehave(self):
        pass

    def read(self):
        return ReadItem(str(os.getpid()), ())


class TellsModules(Fine):
    def read(self):
        return ReadItem(" ".join(sys.modules), ())


@dataclass(frozen=True)
class DiesAtFirst(Fine):
    """Kills its reader for the first *deaths* times; *uri* is a file where each attempt leaves a line."""

    deaths: int = 1

    def misbehave(self):
        with Path(self.uri).open("a") as log:
            log.write("attempt\n")
        if len(Path(self.uri).read_text().split()) <= self.deaths:
            os.kill(os.getpid(), signal.SIGKILL)
