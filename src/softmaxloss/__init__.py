"""softmaxloss: the softmax cross-entropy loss, computed exactly and fast, explained, checked.

>>> import softmaxloss
>>> softmaxloss.cross_entropy([2.0, 1.0, 0.1, -1.2], 0)
np.float64(0.443537896...)
"""

from .api import (
    cross_entropy,
    cross_entropy_with_grad,
    linear_cross_entropy,
    linear_cross_entropy_with_grad,
    score,
)
from .checking import Report, assert_softmax_loss, check
from .errors import LabelError, OptionError
from .explanation import Explanation, SetExplanation, explain, explain_set
from .files import FileError
from .kernels.threads import get_num_threads, set_num_threads
from .linear.plan import LinearGradients
from .scores import Scores

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
    "score",
    "set_num_threads",
]

__version__ = "0.1.0"
