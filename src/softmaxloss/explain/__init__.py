"""Explain one example: why it has this loss, and which of its outputs is pushed where.

`explanation.py` is what there is to say, as data; `one.py` computes it, with several labels
`several.py`; `questions.py` answers what people ask about it. `text.py` prints it, `page` makes
HTML of it. A rendering computes nothing of its own.
"""

from .explanation import Explanation, Layer, Path, State
from .one import explain
from .questions import QUESTIONS, Answer, Question
from .several import Policy, SeveralLabels

__all__ = [
    "QUESTIONS",
    "Answer",
    "Explanation",
    "Layer",
    "Path",
    "Policy",
    "Question",
    "SeveralLabels",
    "State",
    "explain",
]
