"""The frameworks beside NumPy whose arrays the public functions take, and the module of each."""

import sys
from typing import Any


def backend_of(array: Any) -> Any | None:
    """The module with the public functions for arrays of this type; None for NumPy's arrays and
    everything that NumPy reads.

    The module is imported when the first of its arrays arrives, never without its framework.

    >>> backend_of([1.0, 2.0]) is None
    True
    """
    # If torch is not loaded, or another thread is still loading it, this is not one of its tensors.
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    if tensor is not None and isinstance(array, tensor):
        # A statement: torch.compile follows it, and does not follow importlib.
        from . import torch as backend

        return backend
    return None
