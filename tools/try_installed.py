"""Tries the installed package as a user would, without a compiler: python tools/try_installed.py

It runs with the Python that the package is installed in, from an empty folder, and needs nothing
but the package. PyTorch is tried where it is installed. `make wheels` and the releases run it on
each wheel.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import files, version
from pathlib import Path

WRONG = """\
import numpy as np

def softmax_loss(z, y):
    a = np.exp(-z) / np.exp(-z).sum(axis=1, keepdims=True)
    return -np.log(a[np.arange(len(y)), y]).mean()
"""
LOGITS, LABEL = [2.0, 1.0, 0.1, -1.2], 2
LOSS = math.log(sum(math.exp(z - LOGITS[LABEL]) for z in LOGITS))
COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "clang++", "cl")


def softmaxloss(*arguments: str, status: int = 0) -> str:
    """What the command prints."""
    command = shutil.which("softmaxloss", path=sysconfig.get_path("scripts"))
    assert command, "no command `softmaxloss` is installed"
    done = subprocess.run(
        [command, *arguments], capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    return done.stdout


def try_commands() -> None:
    assert softmaxloss("--version") == f"softmaxloss {version('softmaxloss')}\n"
    assert f"{LOSS:.4f}" in softmaxloss("explain", "2", "1", "0.1", "-1.2", "--label", "2")
    Path("set.csv").write_text("cat,dog,fox,owl,label\n2,1,0.1,-1.2,2\n0.3,2.2,-0.5,0,1\n")
    assert "1.313" in softmaxloss("score", "set.csv")
    Path("mine.py").write_text(WRONG)
    assert "exp-minus-z" in softmaxloss("check", "mine.py:softmax_loss", status=1)


def try_numpy() -> None:
    import numpy as np

    from softmaxloss import cross_entropy_with_grad
    from softmaxloss.kernels import level

    compiled = any(file.suffix in (".so", ".pyd") for file in files("softmaxloss") or [])
    assert (level() == "reference") is not compiled, f"the kernel is {level()!r}"
    z = np.random.default_rng(0).normal(size=(40, 1000))
    y = np.arange(40)
    loss, grad = cross_entropy_with_grad(z, y)
    a = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert math.isclose(loss, -np.log(a[y, y]).mean(), rel_tol=1e-12)
    np.testing.assert_allclose(grad, (a - np.eye(40, 1000)) / 40, rtol=1e-9, atol=1e-15)
    print(f"NumPy {np.__version__}: right, kernel {level()}")


def try_torch() -> None:
    try:
        import torch
    except ImportError:
        print("PyTorch: not installed, not tried")
        return
    from softmaxloss.torch import CrossEntropyLoss, cross_entropy

    generator = torch.Generator().manual_seed(0)
    z = torch.randn(40, 1000, generator=generator, dtype=torch.float64).requires_grad_()
    y = torch.arange(40)
    want = torch.autograd.grad(torch.nn.functional.cross_entropy(z, y), z)[0]
    torch.testing.assert_close(torch.autograd.grad(cross_entropy(z, y), z)[0], want)
    smoothed = torch.nn.CrossEntropyLoss(label_smoothing=0.1)(z, y)
    torch.testing.assert_close(CrossEntropyLoss(label_smoothing=0.1)(z, y), smoothed)
    print(f"PyTorch {torch.__version__}: right")


if __name__ == "__main__":
    found = [name for name in COMPILERS if shutil.which(name)]
    print(f"Python {sys.version.split()[0]}; compilers on PATH: {', '.join(found) or 'none'}")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try_commands()
        try_numpy()
        try_torch()
        os.chdir(Path(sys.executable).parent)  # Windows removes no folder that is in use
