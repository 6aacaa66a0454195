"""Check anyone's softmax loss, and name the mistake.

What is asked of a function: terms.py (what it should be), forms.py (the ways in which people write
it), frameworks.py (with whose arrays), probes.py (on which inputs) and situations.py (with which
options). collecting.py calls it, in a process of its own where it comes from a file (isolated.py,
child.py, loading.py, lines.py), and reads what is returned.

What is said of it: expected.py (what is right, and how far from it is rounding), diagnosis.py
(which of the mistakes in `bank` give the numbers; each is a wrong step of steps.py), answers.py
(the same with options, of optional.py), properties.py (what else fails), and judge.py, which puts
it together as a report.
"""

from .bank import BANK, Mistake
from .checking import assert_softmax_loss, check
from .report import Finding, Report

__all__ = ["BANK", "Finding", "Mistake", "Report", "assert_softmax_loss", "check"]
