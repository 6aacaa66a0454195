"""Check anyone's softmax loss, and name the mistake.

What is asked of a function: inputs.py (on which it is called, and why), settings.py (of a check)
and calling/ (the forms in which people write it, and the calls).

What is said about it: reference.py (what is right, and how much rounding is allowed), guard.py (the
ε that people add to a probability before its log), bank/ (the mistakes, each a wrong step of the
reference), diagnosis/ (which of them give the results, and the verdict) and report.py.

api.py joins the two. For files, sandbox/ loads the function and calls it in a process of its own;
what it returns is judged in this one.
"""

from .api import assert_softmax_loss, check
from .bank import BANK, Mistake
from .report import Finding, Report

__all__ = ["BANK", "Finding", "Mistake", "Report", "assert_softmax_loss", "check"]
