"""The mistakes that people make with the softmax loss: what each is, and a wrong step that has it.

One file for each step of the computation. Ids never change: reports and graders refer to them.
"""

from . import behaviour, denominator, gradient, log, loss, options, scale, softmax, target
from .mistake import Kind, Mistake, Style

__all__ = ["BANK", "Kind", "Mistake", "Style"]

_STEPS = (softmax, denominator, log, target, loss, gradient, scale, options, behaviour)
_ALL = [mistake for step in _STEPS for mistake in step.MISTAKES]

#: Every mistake by its id.
BANK: dict[str, Mistake] = {mistake.id: mistake for mistake in _ALL}
assert len(BANK) == len(_ALL)
