"""A description of the machine, for the figures."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

import numpy as np


def describe(threads: int) -> dict[str, str]:
    facts = {
        "processor": _processor(),
        "threads": f"{threads} for every peer, of {os.cpu_count()} processors",
        "caches": _caches(),
        "memory": _memory(),
        "huge pages": _read("/sys/kernel/mm/transparent_hugepage/enabled"),
        "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}",
        "Python": f"{platform.python_version()}, NumPy {np.__version__}",
    }
    return {name: text for name, text in facts.items() if text}


def dated() -> str:
    """The date and the processor, for figures of a few lines."""
    return f"{datetime.date.today().isoformat()}, {_processor()}"


def busy() -> str | None:
    """A warning if other processes keep the machine busy."""
    load = os.getloadavg()[0]
    if load < 0.5:
        return None
    return f"the machine is busy (load {load:.1f}): the figures are not what it can do"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _processor() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _caches() -> str:
    sizes = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if _read(f"{index}/type") != "Instruction":
            sizes.append(f"L{_read(f'{index}/level')} {_read(f'{index}/size')}")
    return ", ".join(sizes)


def _memory() -> str:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / 2**20:.0f} GiB"
    return ""
