"""How many processors this process may use: those that it may run on, and its share of their time.

A container's share is a quota of its control group (cgroups(7)): so many microseconds of processor
time in each period.
"""

import math
import os
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")


def processors() -> int:
    """The number of processors, at least 1; a part of one counts as one."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return allowed
    return max(1, math.ceil(min(allowed, share(groups, CGROUPS))))


def share(groups: str, root: Path) -> float:
    """The smallest quota of the groups and of those around them, in processors; inf without one.

    Args:
        groups: What /proc/self/cgroup says: a line `number:controllers:path` for each hierarchy,
            without controllers for that of version 2.
        root: Where they are mounted.
    """
    quotas = [math.inf]
    for line in groups.splitlines():
        _, controllers, path = ([*line.split(":", 2), "", ""])[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        # In a container the path may be that outside of it: then only the root is there.
        inside = PurePosixPath(path.lstrip("/"))
        for folder in (root / controllers / group for group in (inside, *inside.parents)):
            if controllers:
                words = [_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
            else:
                words = _text(folder / "cpu.max").split()
            if len(words) == 2 and all(word.isdecimal() and int(word) for word in words):
                quotas.append(int(words[0]) / int(words[1]))
    return min(quotas)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
