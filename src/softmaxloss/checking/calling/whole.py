"""What a function is that has a softmax loss within: the training of a model, or a whole network.

It is said of functions of which no form is known, with what to take out of them.
"""

import re
from collections.abc import Callable
from typing import Any

from .packed import RATES, STEPS
from .protocols import title_of
from .roles import parameters_of

#: How what is said begins.
MORE = "it is more than a loss"

_TRAINS = {"optimizer", "opt", "epoch", "learn_rate", "lr_decay"}
_LOADERS = {"loader", "data_loader", "dataloader", "train_loader", "test_loader", "data_iter"}
_TITLE = re.compile(r"(^|[._])(fit|train|epoch|sgd|gradient_?(descent|ascent))", re.I)
_STATE = {"hprev", "h_prev", "h0", "hidden", "hprev_", "cprev", "c_prev", "h", "prev_h"}
_LAYER = re.compile(r"(w|theta)_?\d|w[xh]h|why|parameters|params|cache|layers?|dimensions", re.I)


def whole_of(target: Callable[..., Any]) -> str | None:
    """What a function is, if the names of its parameters say that it is more than a loss.

    >>> whole_of(lambda X, y, lr, epochs: 0)
    'it is more than a loss: it trains a model; check the loss of its logits by itself'
    >>> whole_of(lambda z, y: 0) is None
    True
    """
    names = [p.name for p in parameters_of(target) or ()]
    lower = {name.lower() for name in names}
    what = None
    if lower & (RATES | STEPS | _TRAINS) or _TITLE.search(title_of(target)):
        what = "it trains a model"
    elif lower & _LOADERS:
        what = "it goes through a data set"
    elif lower & _STATE:
        what = "it is a recurrent network"
    elif sum(bool(_LAYER.fullmatch(name)) for name in names) >= 1:
        what = "it is a network"
    return None if what is None else f"{MORE}: {what}; check the loss of its logits by itself"
