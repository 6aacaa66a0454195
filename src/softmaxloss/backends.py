"""The frameworks whose arrays the public functions take as they are, and the module for each.

A face is loaded when one of its arrays arrives, and never without its framework.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["face_of"]


def face_of(array: Any) -> Any | None:
    """The module that has the public functions for arrays of this type; None for NumPy's, and for
    all that NumPy reads.

    >>> face_of([1.0, 2.0]) is None
    True
    """
    # If torch is not loaded, or not yet by another thread, this is none of its tensors.
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    if tensor is not None and isinstance(array, tensor):
        # A statement, which torch.compile follows where it does not follow importlib.
        from . import torch as face

        return face
    return None
