"""Explain one example: why it has this loss, and which of its outputs is pushed where; or a set.

`explanation.py` is what there is to say, as data; `one.py` computes it, with several labels
`several.py`; `questions.py` answers what people ask about it. `text.py` prints it, `page` makes
HTML of it. Of a set, `set_explanation.py` is the data, whose sums `pushes.py` adds up;
`set_text.py` and `set_html.py` show it. A rendering computes nothing of its own.
"""

from .explanation import Explanation, Layer, Path, State
from .one import explain
from .questions import QUESTIONS, Answer, Question
from .set_explanation import Pairs, Push, SetExplanation, explain_set
from .several import Policy, SeveralLabels

__all__ = [
    "QUESTIONS",
    "Answer",
    "Explanation",
    "Layer",
    "Pairs",
    "Path",
    "Policy",
    "Push",
    "Question",
    "SetExplanation",
    "SeveralLabels",
    "State",
    "explain",
    "explain_set",
]
