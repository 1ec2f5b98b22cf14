"""Kills a judging process in the middle."""

import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def killed_run(module, shop, out, after_s):
    """Start *module*'s run, kill it *after_s* seconds after it began, and return whether that was before its end."""
    command = [sys.executable, "-m", module, str(shop), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.readline()
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL
