"""Check anyone's softmax loss, and name the mistake.

What is asked of a function: inputs.py (on which it is called, and why), settings.py (of a check)
and calling/ (the forms in which people write it, the arrays of frameworks, and the calls).

What is said about it: reference.py (what is right, and how much rounding is allowed), bank/ (the
mistakes, each a wrong step of the reference), diagnosis/ (which of them give the results, what else
can be said of them, and the verdict) and report.py.

api.py joins the two. For files, sandbox/ runs the calls in a process of its own.
"""

from .api import assert_softmax_loss, check
from .bank import BANK, Mistake
from .report import Finding, Report

__all__ = ["BANK", "Finding", "Mistake", "Report", "assert_softmax_loss", "check"]
