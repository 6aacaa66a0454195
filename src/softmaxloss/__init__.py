"""softmaxloss: the softmax cross-entropy loss, computed exactly and fast, explained, checked.

>>> import softmaxloss
>>> softmaxloss.cross_entropy([2.0, 1.0, 0.1, -1.2], 0)
np.float64(0.443537896...)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .api import (
    cross_entropy,
    cross_entropy_with_grad,
    linear_cross_entropy,
    linear_cross_entropy_with_grad,
    log_softmax,
    logsumexp,
    score,
    softmax,
)
from .errors import LabelError, OptionError
from .files import FileError
from .kernels import limits as _limits  # noqa: F401  (registers with threadpoolctl)
from .kernels.threads import get_num_threads, set_num_threads
from .linear.plan import LinearGradients
from .scores import Scores

if TYPE_CHECKING:
    from .checking import Report, assert_softmax_loss, check
    from .explanation import Explanation, SetExplanation, explain, explain_set

__all__ = [
    "Explanation",
    "FileError",
    "LabelError",
    "LinearGradients",
    "OptionError",
    "Report",
    "Scores",
    "SetExplanation",
    "assert_softmax_loss",
    "check",
    "cross_entropy",
    "cross_entropy_with_grad",
    "explain",
    "explain_set",
    "get_num_threads",
    "linear_cross_entropy",
    "linear_cross_entropy_with_grad",
    "log_softmax",
    "logsumexp",
    "score",
    "set_num_threads",
    "softmax",
]

__version__ = "0.2.0"

# Imported when they are first used: their modules take as long to import as all others.
_PACKAGES = {
    "checking": ["Report", "assert_softmax_loss", "check"],
    "explanation": ["Explanation", "SetExplanation", "explain", "explain_set"],
}


def __getattr__(name: str) -> Any:
    for package, names in _PACKAGES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f".{package}", __name__), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
