"""Explain one example: why it has this loss, and which of its outputs is pushed where; or a set.

`explanation.py` holds the numbers, `text.py` prints them. `set_explanation.py` holds those of a
set, `pushes.py` adds them up, `set_text.py` and `set_html.py` show them. A rendering computes
nothing of its own.
"""

from .explanation import Explanation, State, explain
from .set_explanation import Pairs, Push, SetExplanation, explain_set

__all__ = [
    "Explanation",
    "Pairs",
    "Push",
    "SetExplanation",
    "State",
    "explain",
    "explain_set",
]
