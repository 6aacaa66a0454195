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

NUMPY = "import numpy as np\n"
LOSS = """
def loss(z, y):
    z = z - np.max(z, axis=1, keepdims=True)
    log_a = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.mean(log_a[np.arange(len(y)), y])
"""
FILE = NUMPY + LOSS


pytestmark = pytest.mark.usefixtures("kept_workers")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def checked(code: str | dict[str, str], name: str = "loss", timeout: float = 10) -> Report:
    """The report on a file, or on the first of several."""
    files = {"file.py": code} if isinstance(code, str) else code
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    return check_file(next(iter(files)), name, Settings(seed=1), timeout=timeout)


def notebook(*cells: str, language: str = "python") -> str:
    """A notebook with these code cells, after a text."""
    made = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    text = {"cell_type": "markdown", "source": ["def loss(z, y): text"]}
    info = {"language_info": {"name": language}}
    return json.dumps({"cells": [text, *made], "metadata": info, "nbformat": 4})


def within(line: str) -> str:
    """The loss with a line before its result."""
    return FILE.replace("    return", f"    {line}\n    return")


# --- names from elsewhere -------------------------------------------------------------------------

COURSE_LOOP = """
import numpy as np
from random import shuffle
from past.builtins import xrange

def loss(W, X, y, reg):
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
BARS = """
import numpy as np
from tqdm import tqdm, trange

def loss(z, y):
    total = 0.0
    for i in tqdm(range(len(y)), desc='rows', leave=False):
        m = z[i].max()
        total += m + np.log(np.exp(z[i] - m).sum()) - z[i, y[i]]
    return total / len(y)
"""
NUMBA = """
import numpy as np
import numba
from numba import jit

@numba.njit(cache=True)
def lse(row):
    m = row.max()
    return m + np.log(np.exp(row - m).sum())

@jit
def loss(z, y):
    return np.mean([lse(z[i]) - z[i, y[i]] for i in numba.prange(len(y))])
"""
GRADED = """
import numpy as np
import pandas as pd
from jaxtyping import Float
from grader import graded, submission

@graded(points=3)
def loss(z: Float[pd.DataFrame, 'N C'], y: pd.Series | None = None):
    if isinstance(z, pd.DataFrame):
        z = z.values
    z = z - z.max(axis=1, keepdims=True)
    return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y])
"""
MOVED = """
import numpy as np
from scipy.misc import logsumexp, imread
from collections import Iterable

def loss(z, y):
    assert isinstance(z, Iterable)
    return np.mean(logsumexp(z, axis=1) - z[np.arange(len(y)), y])
"""
OPTIONAL = """
try:
    import cupy as xp
    gpu = True
except ImportError:
    import numpy as xp
    gpu = False

def loss(z, y):
    z = z - xp.max(z, axis=1, keepdims=True)
    return xp.mean(xp.log(xp.exp(z).sum(axis=1)) - z[xp.arange(len(y)), y])
"""
NAMES: dict[str, tuple[str | dict[str, str], str]] = {
    "a course's loop": (COURSE_LOOP, "^$"),
    "xrange": (
        within("for i in xrange(2): reduce(max, [1])"),
        "^added, as Python 2 had them: reduce, xrange$",
    ),
    "its own xrange": ("xrange = range\n" + within("for i in xrange(2): pass"), "^$"),
    "removed names of NumPy": (
        within("b = np.zeros(3, np.int) + np.float(np.Inf)"),
        "^added, as NumPy had them: np.Inf, np.float, np.int$",
    ),
    "six": (
        "import six\nfrom six.moves import xrange, cPickle as pickle\nimport six.moves.urllib\n"
        + within("for i in xrange(2): pickle.dumps(3)"),
        "^$",
    ),
    "future": (
        "from __future__ import print_function, division\nfrom builtins import range, object\n"
        f"from future import standard_library\nstandard_library.install_aliases()\n{FILE}",
        "^$",
    ),
    "modules of Python 2": (f"import cPickle, Queue, StringIO, urllib2\n{FILE}", "^$"),
    "an absent package": (
        f"import matplotlib.pyplot as plt\nimport seaborn as sns\nimport wandb\nsns.set()\n{FILE}",
        "neither installed nor beside the file: wandb",
    ),
    "a course's own helpers": (
        f"from utils import *\nfrom cs.data_utils import load\nimport helpers as h\n{FILE}"
        "X = load('data')\nh.plot(X)\n",
        "neither installed nor beside the file: utils, cs, helpers",
    ),
    "an optional package": (OPTIONAL, "^$"),
    "CuPy": (FILE.replace("import numpy as np", "import cupy as np"), "^NumPy stands for: cupy$"),
    "assertions of an absent package": (
        "import chex\n" + within("chex.assert_rank(z, 2)"),
        "^neither installed nor beside the file: chex$",
    ),
    "the usual names of an absent helper": (
        FILE.replace("import numpy as np", "from common.arrays import *"),
        "added, as the file uses it: import numpy as np",
    ),
    "progress bars": (BARS, "^$"),
    "numba": (NUMBA, "^$"),
    "a grader's decorator, types of pandas": (GRADED, r"@graded\(points=3\) was left out"),
    "names that moved": (MOVED, "cannot import name 'imread' from 'scipy.misc' .line 3."),
    "a base class that is absent": (
        f"import tensorflow as tf\n{FILE}class Net(tf.keras.Model):\n    pass\nnet = Net()\n",
        "not run",
    ),
    "a package that does not work here": (
        {
            "a.py": f"import broken\nfrom broken import one, two\n{FILE}",
            "broken.py": "1 / 0\ntwo = 2",
        },
        "",
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_from_elsewhere(name: str) -> None:
    code, notes = NAMES[name]
    report = checked(code)
    assert (report.verdict, report.problem) == ("right", None)
    assert re.search(notes, "\n".join(report.notes)), report.notes


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (
            "import wandb\n" + within("wandb.log({'loss': 0})"),
            "ModuleNotFoundError: it uses wandb.log, and wandb is neither installed nor beside the "
            "file (line 7)",
        ),
        (
            NUMPY + "from utils import *\ndef loss(z, y):\n    return -np.log(softmax(z))[y]\n",
            "ModuleNotFoundError: it uses softmax, which it expects from utils: there is no such "
            "module (line 4)",
        ),
        (
            "from cs.softmax import loss\n",
            "ModuleNotFoundError: it uses cs.softmax.loss, and cs is neither installed nor beside "
            "the file",
        ),
        (
            "W = open('weights')\ndef loss(z, y):\n    return W + 1\n",
            "ModuleNotFoundError: it uses W, which could not be made: FileNotFoundError: [Errno 2] "
            "No such file or directory: 'weights' (line 1) (line 3)",
        ),
        (
            "import cv2 as cv\nX = cv.imread('x').data\nn, m = X.shape\n"
            "def loss(z, y):\n    return z / m\n",
            "ModuleNotFoundError: it uses m, which needs cv2.imread, and cv2 is neither "
            "installed nor beside the file (line 5)",
        ),
        (
            "import sys\nargument = sys.argv[1]\ndef loss(z, y, a=argument + 1):\n    return 1\n",
            "importing it failed: ModuleNotFoundError: it uses argument, which could not be made: "
            "IndexError: list index out of range (line 2) (line 3)",
        ),
    ],
)
def test_a_stand_in_that_is_really_used(code: str, problem: str) -> None:
    report = checked(code)
    assert (report.verdict, report.problem) == ("not checked", problem)


# --- what is run ----------------------------------------------------------------------------------

SCRIPT = f"""
import numpy as np
import matplotlib.pyplot as plt
import pandas as pd

plt.rcParams['figure.figsize'] = (10.0, 8.0)
plt.style.use('ggplot')
np.random.seed(0)
EPS = 1e-12

data = pd.read_csv('train.csv').values
z, y = data[:, 1:], data[:, 0]
name = input('your name? ')
{LOSS}
for epoch in range(100000):
    print(epoch, loss(z, y))
    z -= 0.1
plt.show()
while True:
    pass
"""
ARGUMENTS = f"""
import argparse
import numpy as np
parser = argparse.ArgumentParser()
parser.add_argument('--data', required=True)
parser.add_argument('--n', type=int, default=3)
args = parser.parse_args()
{LOSS}
if __name__ == '__main__':
    raise SystemExit(loss(np.zeros((args.n, 3)), np.zeros(args.n)))
"""
LATE = """
import numpy as np
class Config:
    pass
def loss(z, y):
    z = z - z.max(axis=1, keepdims=True)
    J = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]
    return sum(weight * J.mean() for weight in config.weights)
config = Config()
config.weights = []
config.weights.append(1.0)
open('data.csv')
"""
RUN: dict[str, tuple[str | dict[str, str], str]] = {
    "a script that trains": (
        SCRIPT,
        "^not run, as loss does not need it: lines 7–13, lines 20–25$",
    ),
    "arguments": (ARGUMENTS, "^not run, as loss does not need it: lines 4–7$"),
    "a global that is computed": (
        f"{NUMPY}TINY = np.finfo(float).tiny\nX = np.load('x.npy')\n"
        + LOSS.replace("np.log(np", "np.log(TINY + np"),
        "^not run, as loss does not need it: line 3$",
    ),
    "a parameter of the name of a global": (
        f"{NUMPY}z = np.load('z.npy')\ny = input()\n{LOSS}",
        "^not run, as loss does not need it: lines 2–3$",
    ),
    "what is set after it": (LATE, "^not run, as loss does not need it: line 12$"),
    "a call of itself, over its name": (f"{FILE}loss = loss(np.zeros((2, 3)), [0, 1])\n", "line 7"),
    "tests below": (f"{FILE}assert loss(0, 0) == 3\nimport unittest\nunittest.main()\n", "not run"),
    "a variable of its name": (
        f"{FILE}def wrap(f):\n    return f\nloss = wrap(loss)\nfor epoch in range(10**9):\n"
        "    loss = 3\n",
        "^not run, as loss does not need it: lines 10–11$",
    ),
    "an exit below": (f"import sys\n{FILE}sys.exit(main())\n", "not run"),
    "exec": (f"exec({FILE!r})\nprint(loss)\n", "^$"),
    "a loop that makes it": (
        f"{FILE.replace('def loss', 'def f')}\nfor name in ['loss']:\n    globals()[name] = f\n",
        "^$",
    ),
    "annotations of what is not there": (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\n"
        f"class Config:\n    n: Unknown | None = None\n{FILE}",
        "^$",
    ),
    "magics in a file": (f"%matplotlib inline\n!pip install x\n{FILE}", "^$"),
    "its global takes too long": (
        f"{NUMPY}SEEN = [i for i in iter(int, 1)]\n" + LOSS.replace("):", ", seen=lambda: SEEN):"),
        r"it took longer than 1 seconds \(line 2\)",
    ),
    "its global waits for someone": (
        f"import time\n{NUMPY}SEEN = time.sleep(60)\n"
        + LOSS.replace("):", ", seen=lambda: SEEN):"),
        r"it waited longer than 1 seconds \(line 3\)",
    ),
}


@pytest.mark.parametrize("name", RUN)
def test_what_is_run(name: str) -> None:
    code, notes = RUN[name]
    report = checked(code, timeout=2 if "its global" in name else 10)
    assert (report.verdict, report.problem) == ("right", None)
    assert re.search(notes, "\n".join(report.notes)), report.notes


# --- packages and repositories --------------------------------------------------------------------

PACKAGES: dict[str, dict[str, str]] = {
    "a course's package": {
        "cs231n/classifiers/softmax.py": COURSE_LOOP,
        "cs231n/__init__.py": "",
        "cs231n/classifiers/__init__.py": "from cs231n.classifiers.softmax import *\n"
        "from cs231n.classifiers.linear_classifier import *\n",
        "cs231n/classifiers/linear_classifier.py": "import numpy as np\n"
        "from cs231n.classifiers.linear_svm import *\nfrom cs231n.classifiers.softmax import *\n",
    },
    "relative imports without packages": {
        "deep/layers/loss.py": f"from .base import *\nfrom ..config import SCALE\n{LOSS}",
        "deep/layers/base.py": "import numpy as np\n",
        "deep/config.py": "import matplotlib.pyplot as plt\nSCALE = 1.0\nplt.figure()\n",
    },
    "a folder that is no identifier": {
        "hw-1/nn/loss.py": f"from .core import Layer\nfrom ..top import TOP\n{FILE}",
        "hw-1/nn/core.py": "class Layer: pass\n",
        "hw-1/top.py": "TOP = 1\n",
    },
    "a package of the name of one of Python's": {
        "code/loss.py": f"from .core import *\n{FILE}",
        "code/__init__.py": "",
        "code/core.py": "from queue import Queue\n",
    },
    "the folder above": {
        "ch04/net.py": "import sys, os\nsys.path.append(os.pardir)\n"
        "from common.functions import *\nfrom dataset.mnist import load_mnist\n"
        "loss = cross_entropy\nx, t = load_mnist()\n",
        "common/functions.py": FILE.replace("def loss", "def cross_entropy"),
    },
    "the root of the repository": {
        "a/b/c/loss.py": "from lib.nn import loss\n",
        "lib/nn.py": FILE,
        "requirements.txt": "numpy\n",
    },
    "a framework of one's own": {
        "tiny/functions.py": "import numpy as np\nfrom tiny.core import Function, as_array\n"
        "class Log(Function):\n    def forward(self, x):\n        return np.log(x)\n"
        + LOSS.replace("np.exp(z)", "as_array(np.exp(z))"),
        "tiny/__init__.py": "import tiny.functions\nfrom tiny.core import Function\n",
        "tiny/core.py": "import numpy as np, weakref\nimport tiny\nclass Function:\n"
        "    def __call__(self, *xs):\n        return tiny.functions.Log()\n"
        "def as_array(x):\n    return np.asarray(x)\n",
    },
    "a module beside it in Python 2, that reads data": {
        "a.py": "from b import loss\n",
        "b.py": f"{FILE}print 'loaded'\ndata = open('data.csv')\n",
    },
}


@pytest.mark.parametrize("name", PACKAGES)
def test_packages(name: str) -> None:
    report = checked(PACKAGES[name])
    assert (report.verdict, report.problem) == ("right", None)


def test_nothing_is_written_beside_the_files() -> None:
    files = PACKAGES["a course's package"]
    checked(files)
    assert {str(path) for path in Path().rglob("*") if path.is_file()} == set(files)


# --- notebooks ------------------------------------------------------------------------------------

CELLS = [
    "%matplotlib inline\n%load_ext autoreload\nimport numpy as np\nfrom public_tests import *",
    "!pip install -q 'wandb\nimport os\nif not os.path.exists('data'):\n    !wget http://data\n",
    '%%bash\nls -l | grep "x',
    "%%time\nprint('timed')\nfiles = !ls\nnp.dot?",
    LOSS,
    "loss_test(loss)\nz = np.array([[1, 2,\n   3\n   % 2]])",
    "raise Exception('stop here')",
    "for i in range(10**9):\n    pass",
]


def test_a_notebook() -> None:
    report = checked({"my loss.ipynb": notebook(*CELLS)})
    assert (report.verdict, report.problem) == ("right", None)
    assert report.notes[0] == (
        "not run, as loss does not need it: lines 3–4 of cell 2, line 2 of cell 4, "
        "lines 1–4 of cell 6, line 1 of cell 7, …"
    )


def test_errors_in_a_notebook() -> None:
    cells = ["import numpy as np", "x = (", "def loss(z, y):\n    raise ValueError('no')"]
    report = checked({"a.ipynb": notebook(*cells)})
    assert report.problem == "ValueError: no (line 2 of cell 3)"
    assert report.notes == (
        "left out, as it is no Python: '(' was never closed (a.ipynb, cell 2, line 1)",
    )
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": FILE}]}], "nbformat": 3}
    assert checked({"old.ipynb": json.dumps(old)}).verdict == "right"
    # pylab has NumPy's names but for max, min, abs, …, which are Python's.
    pylab = notebook("%pylab inline", LOSS.replace("np.max", "amax").replace("np.", ""))
    assert checked({"pylab.ipynb": pylab}).verdict == "right"
    report = checked({"c.ipynb": notebook("def loss(z, y)\n    return")})
    assert str(report.problem).startswith("c.ipynb has no loss, nor anything else that can be ")
    assert "left out, as it is no Python: expected ':' (c.ipynb, cell 1, line 1)" in report.problem
    for text, problem in [
        ("{}", "b.ipynb is not a notebook"),
        ("[" * 100_000, "b.ipynb is not a notebook"),
        (notebook("x <- 3", language="R"), "b.ipynb is a notebook in R, not in Python"),
    ]:
        assert checked({"b.ipynb": text}).problem == problem


# --- Python 2 -------------------------------------------------------------------------------------

PYTHON2 = """
import cPickle, gzip, os, sys, time
import numpy
import numpy as np
import theano.tensor as T

class LogisticRegression(object):
    def __init__(self, input, n_in, n_out):
        self.W = theano.shared(value=numpy.zeros((n_in, n_out)))

def loss(z, y):
    print 'computing', len(y),
    n = len(y)
    rows = range(n)
    rows.reverse()
    half = z.shape[1] / 2
    total = 0L
    for i in rows:
        m = max(list(z[i][:half]) + list(z[i][half:]))
        total += m + np.log(sum(map(lambda v: np.exp(v - m), z[i]))) - z[i, y[i]]
    try:
        return total / n
    except ZeroDivisionError, e:
        print >>sys.stderr, e, `e`
        raise ValueError, 'no examples: %d' % n

if __name__ == '__main__':
    print 'training'
    with gzip.open('mnist.pkl.gz') as f:
        train = cPickle.load(f)
"""


def test_python_2() -> None:
    report = checked(PYTHON2)
    assert (report.verdict, report.problem) == ("right", None)
    assert report.notes[0] == "line 17 is Python 2: it was converted, and / of integers rounds down"
    assert report.printed.startswith("computing ")


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("print", "\n"),
        ("print('a', 1)", "a 1\n"),
        ("print ('%d' % 3), 4", "3 4\n"),
        ("print 'a',\nprint 'b'", "a b\n"),
        ("if 1: print 'a'; print 'b'", "a\nb\n"),
        ("f = lambda x: x\nprint f(3) \\\n  + 1", "4\n"),
        ("print `1` + `[2]`", "1[2]\n"),
        ("print 7 / 2, 7.0 / 2, -7 / 2", "3 3.5 -4\n"),
        ("print 7 / 2.0, 7 / np.array([2, 4]), [7 / 2.0 for _ in [1]]", "3.5 [3 1] [3.5]\n"),
        ("print 1 <> 2, 0777, 10L, ur'\\d', 0xFFL", "True 511 10 \\d 255\n"),
        ("d = {1: 2}\nprint d.has_key(1), [k for k in d.iteritems()]", "True [(1, 2)]\n"),
        ("exec 'x = 3' in {}\nexec 'y = 4'\nprint y", "4\n"),
        ("try:\n  raise KeyError, 'a'\nexcept (KeyError, OSError), e: print e", "'a'\n"),
        ("print >>__import__('sys').stdout, 'x'", "x\n"),
        ("s = '''\\\nprint 3'''  # print 4\nprint s", " *print 3\n"),
        ("print map(len, ['a']) + range(2) + filter(None, [0, 5])", "[1, 0, 1, 5]\n"),
        ("print unicode('a'), raw_input, sum(i / 2 for i in xrange(4))", "a .*input.* 2\n"),
    ],
)
def test_statements_of_python_2(statement: str, value: str) -> None:
    body = "\n".join(f"    {line}" for line in statement.split("\n"))
    report = checked(f"{NUMPY}class AtImport:\n{body}\nprint 'end'\n{LOSS}")
    assert report.problem is None
    assert report.printed == value or re.fullmatch(value, report.printed), report.printed


@pytest.mark.parametrize("line", ["from __future__ import division", "def g(x: int): ..."])
def test_python_2_with_the_division_of_python_3(line: str) -> None:
    report = checked(f"{line}\nclass AtImport:\n    print 7 / 2\n{FILE}")
    assert (report.printed, report.notes) == ("3.5\n", ("line 3 is Python 2: it was converted",))


def test_tabs_are_eight_spaces() -> None:
    code = FILE.replace("    return", "    if 1:\n\tz = z - 1\n        z = z + 1\n    return")
    assert checked(code).verdict == "right"


def test_a_file_that_is_no_python_at_all() -> None:
    problem = checked("def loss(z, y)\n    print z\n").problem
    assert problem == "SyntaxError: expected ':' (file.py, line 1)"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
def test_encodings(encoding: str) -> None:
    Path("file.py").write_bytes(f"# café\r\n{FILE}".encode(encoding))
    assert check_file("file.py", "loss", Settings(seed=1)).verdict == "right"
    Path("file.py").write_bytes(b"\x7fELF\0\0")
    problem = check_file("file.py", "loss", Settings()).problem
    assert problem == "file.py is not a Python file: it is no text"


# --- classes --------------------------------------------------------------------------------------

CLASSES = f"""{FILE}
class Criterion:
    def forward(self, z, y):
        return loss(z, y)
    def __call__(self, z, y):
        return loss(z, y)
class Sized(Criterion):
    def __init__(self, size):
        self.size = size
    def sized(self, z, y):
        return loss(z.reshape(-1, self.size), y)
"""


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("Criterion", "Criterion()"),
        ("Criterion.forward", "Criterion().forward"),
        ("Sized", "Sized"),
    ],
)
def test_classes(name: str, function: str) -> None:
    assert checked(CLASSES, name).function == function


def test_a_base_class_that_is_absent() -> None:
    code = f"""import needle.nn as nn
{FILE}
class Criterion(nn.Module):
    def __init__(self, eps=0):
        super().__init__(eps)
    def forward(self, z, y):
        return loss(z, y)
    def other(self, z, y):
        return self.compute(z, y)
"""
    assert checked(code, "Criterion.forward").verdict == "right"
    assert checked(code, "Criterion.other").problem == (
        "AttributeError: no compute: it inherits from needle.nn.Module, and needle is neither "
        "installed nor beside the file (line 15)"
    )


def test_arguments_that_only_the_files_owner_knows() -> None:
    assert checked(CLASSES, "Sized.forward").verdict == "right"  # it needs nothing of its object
    problem = checked(CLASSES, "Sized.sized").problem
    assert str(problem).startswith("Sized cannot be made without arguments: ")


def notes_in(report: Report) -> Any:
    return report.to_dict()["notes"]


def test_notes_are_in_the_report() -> None:
    report = checked(within("np.float(3)"))
    assert notes_in(report) == ["added, as NumPy had them: np.float"]
    assert "note: added, as NumPy had them: np.float\n" in str(report)
