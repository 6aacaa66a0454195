"""Explain one example: why it has this loss, and which of its outputs is pushed where.

`explanation.py` holds the numbers, `text.py` prints them. A rendering computes nothing of its own.
"""

from .explanation import Explanation, State, explain

__all__ = ["Explanation", "State", "explain"]
