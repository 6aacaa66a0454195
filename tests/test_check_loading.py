"""Files as people write them: what of them is run, what stands for what is not here, what is said.

Each file is written after a kind of file that is common in public: exercises of courses, notebooks,
scripts that train, old Python. The functions in them are right, so that the verdict shows whether
the file was understood.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from softmaxloss.checking.report import Report
from softmaxloss.checking.sandbox.process import check_file
from softmaxloss.checking.settings import Settings

LOSS = """
def loss(z, y):
    z = z - np.max(z, axis=1, keepdims=True)
    log_a = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.mean(log_a[np.arange(len(y)), y])
"""
WITH_NUMPY = f"import numpy as np\n{LOSS}"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")


def checked(code: str | dict[str, str], name: str = "loss", timeout: float = 10) -> Report:
    """The report on the first file."""
    files = {"file.py": code} if isinstance(code, str) else code
    write(files)
    return check_file(next(iter(files)), name, Settings(seed=1), timeout=timeout)


def notebook(*cells: str, language: str = "python", **more: Any) -> str:
    made = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    text = {"cell_type": "markdown", "source": ["def loss(z, y): text"]}
    info = {"language_info": {"name": language}}
    return json.dumps({"cells": [text, *made], "metadata": info, "nbformat": 4, **more})


# --- each right, with what the notes say ----------------------------------------------------------

CS231N_LOOP = """
import numpy as np
from random import shuffle
from past.builtins import xrange

def softmax_loss_naive(W, X, y, reg):
    loss = 0.0
    dW = np.zeros_like(W)
    num_train = X.shape[0]
    for i in xrange(num_train):
        scores = X[i].dot(W)
        scores -= np.max(scores)
        p = np.exp(scores) / np.sum(np.exp(scores))
        loss += -np.log(p[y[i]])
        for j in xrange(W.shape[1]):
            dW[:, j] += (p[j] - (j == y[i])) * X[i]
    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train + 2 * reg * W
    return loss, dW
"""
PYTHON2_THEANO = """
import cPickle, gzip, os, sys, time
import numpy
import numpy as np
import theano
import theano.tensor as T

def shared(data, borrow=True):
    return theano.shared(numpy.asarray(data, dtype=theano.config.floatX))

class LogisticRegression(object):
    def __init__(self, input, n_in, n_out):
        self.W = theano.shared(value=numpy.zeros((n_in, n_out)))

def loss(z, y):
    print 'computing', len(y),
    total = 0L
    n = len(y)
    half = z.shape[1] / 2        # rounds down
    total = 0.
    for i in xrange(n):
        m = max(max(z[i][:half]), max(z[i][half:])) if half > 0 else z[i][0]
        total += m + np.log(sum(map(lambda v: np.exp(v - m), z[i]))) - z[i, y[i]]
    try:
        return total / n
    except ZeroDivisionError, e:
        print >>sys.stderr, e
        raise ValueError, 'no examples'

if __name__ == '__main__':
    print 'training'
    with gzip.open('mnist.pkl.gz') as f:
        train = cPickle.load(f)
"""
SCRIPT = f"""
import numpy as np
import matplotlib.pyplot as plt
from tqdm import tqdm
import pandas as pd

plt.rcParams['figure.figsize'] = (10.0, 8.0)
plt.style.use('ggplot')
np.random.seed(0)
EPS = 1e-12
learning_rate = 1e-2

data = pd.read_csv('train.csv').values
X, y = data[:, 1:], data[:, 0]
W = np.random.randn(X.shape[1], 10)
name = input('your name? ')
{LOSS}
for epoch in tqdm(range(100000)):
    z = X.dot(W)
    print(epoch, loss(z, y))
    W -= learning_rate * (z.T.dot(X)).T
plt.plot([1, 2])
plt.show()
while True:
    pass
"""
ARGPARSE = f"""
import argparse
import numpy as np
parser = argparse.ArgumentParser()
parser.add_argument('--lr', type=float, required=True)
parser.add_argument('--n', type=int, default=3)
args = parser.parse_args()
{LOSS}
print(loss(np.zeros((args.n, 3)), np.zeros(args.n)))
"""
RIGHT_FILES: dict[str, tuple[Any, str]] = {
    "course loop": (
        {"cs231n/classifiers/softmax.py": CS231N_LOOP, "cs231n/__init__.py": "",
         "cs231n/classifiers/__init__.py": "from cs231n.classifiers.softmax import *\n"
         "from cs231n.classifiers.linear_classifier import *\n",
         "cs231n/classifiers/linear_classifier.py": "from __future__ import print_function\n"
         "import numpy as np\nfrom cs231n.classifiers.linear_svm import *\n"
         "from cs231n.classifiers.softmax import *\n"},
        ""),
    "Python 2": (PYTHON2_THEANO, "line 12 is Python 2|line 17 is Python 2"),
    "a script that trains": (SCRIPT, "not run.*lines 13–16"),
    "argparse": (ARGPARSE, "not run"),
    "xrange": (WITH_NUMPY.replace("return", "for i in xrange(3): pass\n    return"),
               "xrange is Python 2's"),
    "removed names of NumPy": (
        WITH_NUMPY.replace("z = z -", "z = z.astype(np.float)\n    b = np.zeros(3, np.int)\n    z = z -"),
        "np.float was removed from NumPy"),
    "a global that is computed": (
        f"import numpy as np\nTINY = np.finfo(float).tiny\n{LOSS.replace('np.exp(z),', 'np.exp(z) + TINY,')}"
        "X = np.load('x.npy')\n", "not run"),
    "a parameter of the name of a global": (
        f"import numpy as np\nz = np.load('z.npy')\ny = input()\n{LOSS}", "not run"),
    "its own helper": (
        f"from utils import *\nfrom cs231n.data_utils import load_CIFAR10\nimport helpers as h\n{WITH_NUMPY}"
        "X = load_CIFAR10('data')\nh.plot(X)\n", "neither installed.*utils"),
    "an optional package": (
        f"try:\n    import cupy as xp\n    gpu = True\nexcept ImportError:\n    import numpy as xp\n"
        f"    gpu = False\n{LOSS.replace('np.', 'xp.')}", "^$"),
    "tqdm in the function": (
        "import numpy as np\nfrom tqdm import tqdm, trange\ndef loss(z, y):\n    total = 0.0\n"
        "    for i in tqdm(range(len(y)), desc='rows', leave=False):\n"
        "        m = z[i].max()\n        total += m + np.log(np.exp(z[i] - m).sum()) - z[i, y[i]]\n"
        "    return total / len(y)\n", ""),
    "numba": (f"import numba\nfrom numba import jit\n@numba.njit\ndef g(x):\n    return x\n@jit\n{WITH_NUMPY.replace('import numpy as np', '').strip()}\nimport numpy as np\n", ""),
    "a decorator of a grader": (
        f"import numpy as np\nfrom grader import graded\n@graded(points=3){LOSS}", "@graded.*left out"),
    "types of absent packages": (
        "import numpy as np\nimport pandas as pd\nfrom jaxtyping import Float\n"
        + LOSS.replace("(z, y)", "(z: Float[pd.DataFrame, 'N C'], y: pd.Series | None = None)"), ""),
    "scipy.misc": (
        "import numpy as np\nfrom scipy.misc import logsumexp, imread\ndef loss(z, y):\n"
        "    return np.mean(logsumexp(z, axis=1) - z[np.arange(len(y)), y])\n", ""),
    "a call of itself, over its name": (
        f"{WITH_NUMPY}z = np.zeros((2, 3))\nloss = loss(z, [0, 1])\nprint(loss)\n", ""),
    "set up at the end": (
        "import numpy as np\nclass Config:\n    pass\ndef loss(z, y):\n    z = z - z.max(1, keepdims=True)\n"
        "    return (np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]).sum() * config.scale / len(y)\n"
        "config = Config()\nconfig.scale = 1.0\n", ""),
    "tests below": (
        f"{WITH_NUMPY}assert loss(np.zeros((1, 2)), [0]) == 3\nimport unittest\nunittest.main()\n", "not run"),
    "exit below": (f"import sys\n{WITH_NUMPY}sys.exit(main())\n", ""),
    "mixed tabs": ("import numpy as np\ndef loss(z, y):\n    if True:\n\tz = z - z.max(1, keepdims=True)\n"
                   "    return (np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]).mean()\n", "Python 2"),
    "Latin-1": ("# -*- coding: utf-8 -*-\n# caf\xe9\n" + WITH_NUMPY, ""),
    "UTF-16": (WITH_NUMPY, ""),
    "six": ("import six\nfrom six.moves import xrange, cPickle as pickle\n" + WITH_NUMPY.replace(
        "return", "for i in xrange(2): pass\n    return"), ""),
    "relative": (
        {"deep/layers/loss.py": f"from .base import *\nfrom ..config import SCALE\n{LOSS.replace('-np.mean', '-SCALE * np.mean')}",
         "deep/layers/base.py": "import numpy as np\nclass Layer:\n    pass\n",
         "deep/config.py": "import matplotlib.pyplot as plt\nSCALE = 1.0\nplt.figure()\n"}, ""),
    "a class in a package": (
        {"hw-1/nn/loss.py": f"from .core import Layer\nimport numpy as np\n{LOSS}", "hw-1/nn/__init__.py": "",
         "hw-1/nn/core.py": "class Layer: pass\n"}, ""),
    "a package of the name of Python's": (
        {"code/loss.py": f"from .core import *\nimport numpy as np\n{LOSS}", "code/__init__.py": "",
         "code/core.py": "from queue import Queue\n"}, ""),
    "from the book": (
        {"ch04/net.py": "import sys, os\nsys.path.append(os.pardir)\nfrom common.functions import *\n"
         "from dataset.mnist import load_mnist\nloss = cross_entropy\nx, t = load_mnist()\n",
         "common/functions.py": WITH_NUMPY.replace("def loss", "def cross_entropy")}, ""),
    "a sibling in Python 2 that trains": (
        {"a.py": "from b import loss\n", "b.py": f"{WITH_NUMPY}print 'loaded'\nopen('data.csv')\n"}, "data.csv"),
    "a base that is absent": (
        {"a.py": f"import tensorflow as tf\nimport numpy as np\n{LOSS}\nclass Net(tf.keras.Model):\n    pass\n"
         "net = Net()\nnet.fit()\n"}, ""),
    "exec": (f"exec({WITH_NUMPY!r})\nprint(loss)\n", ""),
    "made by a loop": (
        f"{WITH_NUMPY.replace('def loss', 'def f')}\nfor name in ['loss']:\n    globals()[name] = f\n", ""),
    "future": (f"from __future__ import print_function, division\nfrom builtins import range, object\n"
               f"from future import standard_library\n{WITH_NUMPY}", ""),
    "dataclass": ("from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\n"
                  f"class Config:\n    lr: float = 0.1\n    n: Unknown | None = None\n{WITH_NUMPY}", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT_FILES)
def test_right_functions_in_files_as_they_are(name: str) -> None:
    code, notes = RIGHT_FILES[name]
    function = "softmax_loss_naive" if name == "course loop" else "loss"
    if name == "UTF-16":
        Path("file.py").write_bytes(code.encode("utf-16"))
        report = check_file("file.py", function, Settings(seed=1))
    elif name == "Latin-1":
        Path("file.py").write_bytes(code.encode("latin-1"))
        report = check_file("file.py", function, Settings(seed=1))
    else:
        report = checked(code, function)
    assert (report.verdict, report.problem) == ("right", None)
    assert re.search(notes, "\n".join(report.notes)), report.notes
