"""Puts events one by one and prints the id of each that was acknowledged and whether it was new.

`python -m tests.serving.event_writer URL USER FIRST LAST`, as a process of its own that a test can kill.
"""

import subprocess
import sys
from pathlib import Path

from serving.events import open_event_store
from serving.events.protocol import Limits, ProductEvent

ROOT = Path(__file__).parents[2]
LIMITS = Limits(history=1_000_000)


def start_writer(url, user_id, first, last):
    arguments = [sys.executable, "-m", "tests.serving.event_writer", url, user_id, str(first), str(last)]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def acknowledged(printed):
    """The ids of whole lines of *printed*, and of those the new ones."""
    lines = [line.split() for line in printed.splitlines(keepends=True) if line.endswith("\n")]
    return [event_id for event_id, _ in lines], [event_id for event_id, is_new in lines if is_new == "True"]


def main():
    url, user_id, first, last = sys.argv[1:]
    store = open_event_store(url, LIMITS)
    for number in range(int(first), int(last)):
        event = ProductEvent(f"e{number}", user_id, f"p{number}", "view", number)
        (is_new,) = store.put([event], now_us=1_000_000)
        sys.stdout.write(f"{event.event_id} {is_new}\n")
        sys.stdout.flush()
    store.close()


if __name__ == "__main__":
    main()
