"""Explain one example: why it has this loss, and which of its outputs is pushed where.

`explanation.py` is what there is to say, as data; `one.py` computes it, with several labels
`several.py`; `text.py` prints it; `questions.py` answers what people ask of it. A rendering
computes nothing of its own.
"""

from .explanation import Explanation, Layer, Path, State
from .one import explain
from .several import Policy, SeveralLabels

__all__ = ["Explanation", "Layer", "Path", "Policy", "SeveralLabels", "State", "explain"]
