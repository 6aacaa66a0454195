"""Check anyone's softmax loss, and name the mistake.

`bank` holds the mistakes, each a wrong step of `steps.py`; `probes.py` the inputs that tell them
apart; `judge.py` what is right and how far from it is rounding; `diagnosis.py` finds the mistakes
behind wrong numbers; `forms.py` the ways in which people write the function; `report.py` what comes
out.
"""

from .bank import BANK, Mistake
from .checking import assert_softmax_loss, check
from .report import Finding, Report

__all__ = ["BANK", "Finding", "Mistake", "Report", "assert_softmax_loss", "check"]
