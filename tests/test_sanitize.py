"""Short runs of tests/sanitize, in CI; `make sanitize` is the long one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "sanitize"
COMPILER = os.environ.get("CXX", "c++")
# Unoptimised, which compiles in a quarter of the time; kept, so that make compiles only changes.
BUILD = FOLDER.parent.parent / "build"


def reason_to_skip(sanitizer: str, folder: Path) -> str | None:
    if not shutil.which("make") or not shutil.which(COMPILER):
        return "needs make and a C++ compiler"
    source, program = folder / "empty.cpp", folder / "empty"
    source.write_text(
        "#include <sanitizer/common_interface_defs.h>\n"
        "int main() { __sanitizer_set_death_callback(nullptr); }\n"
    )
    command = [COMPILER, f"-fsanitize={sanitizer}", str(source), "-o", str(program)]
    for step in (command, [str(program)]):
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"no {sanitizer} sanitizer here: {(done.stderr.splitlines() or ['?'])[-1]}"
    return None


def run(sanitizer: str, calls: int, tmp_path: Path, name: str, *settings: str) -> None:
    """Build and run; fails when the sanitizer reports anything."""
    if reason := reason_to_skip(sanitizer, tmp_path):
        pytest.skip(reason)
    settings += ("OPTIMISE=-O0", f"BUILD={BUILD / name}", f"CXX={COMPILER}")
    settings += (f"CALLS={calls}", f"THREADED_CALLS={calls}")
    done = subprocess.run(
        ["make", "-j2", f"run-{sanitizer}", *settings],
        cwd=FOLDER,
        env={name: value for name, value in os.environ.items() if name != "MAKEFLAGS"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{calls} calls from seed 1 " in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("sanitizer", "calls"), [("address", 2000), ("thread", 500)])
def test_no_finding_on_the_baseline_level(sanitizer: str, calls: int, tmp_path: Path) -> None:
    run(sanitizer, calls, tmp_path, "sanitize-baseline", "LEVELS=baseline")


@pytest.mark.slow
def test_no_finding_on_any_level(tmp_path: Path) -> None:
    run("address", 2000, tmp_path, "sanitize-short")
