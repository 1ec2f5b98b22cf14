"""How many cores this process may use."""

import os


def n_cores() -> int:
    """Those that it is allowed on, where the system tells: a container may have fewer than its machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
