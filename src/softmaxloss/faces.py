"""The frameworks whose arrays the public functions take as they are, and the module for each.

A face is loaded when one of its arrays arrives, and never without its framework.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

__all__ = ["FACES", "face_of"]

# framework: (the type of its arrays, the module that has functions of the public names for them)
FACES = {"torch": ("Tensor", "softmaxloss.torch")}


def face_of(array: Any) -> Any | None:
    """The module for arrays of this type; None for NumPy's, and for all that NumPy reads.

    >>> face_of([1.0, 2.0]) is None
    True
    """
    for framework, (name, face) in FACES.items():
        loaded = sys.modules.get(framework)  # if it is not, this is none of its arrays
        if loaded is not None and isinstance(array, getattr(loaded, name)):
            # torch.compile follows a look into sys.modules, and no import.
            return sys.modules.get(face) or import_module(face)
    return None
