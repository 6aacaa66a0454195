"""A softmax with a mask: the outputs that it leaves out have probability 0, the others sum to 1.

Of a log softmax the probabilities are compared. Its masked outputs are −∞, or the log of a small
number that is added to the mask because log 0 is not wanted.
"""

from collections.abc import Callable

import numpy as np

from ...arrays import Array
from ..bank import BANK
from ..inputs import Input
from ..reference import Results, masked_softmax, near, softmax
from ..report import Finding, InputCheck, array_text

#: What wrong versions compute from the logits and the mask, by the id of the mistake.
WRONG: dict[str, Callable[[Array, Array], Array]] = {
    "mask-times-logits": lambda z, mask: softmax(z * mask)[0],
    "masked-not-normalised": lambda z, mask: softmax(z)[0] * mask,
    "mask-unused": lambda z, mask: softmax(z)[0],
}


MOST_LEFT = 1e-6  # the probability that a number in place of log 0 may leave


def check_mask(
    input: Input, part: str, results: Results, problem: str | None, epsilon: float
) -> tuple[InputCheck, Finding | None]:
    """Compare the probabilities, or their log, that a softmax with a mask returned."""
    z, mask = input.z.astype(np.float64), np.asarray(input.options["mask"])
    got, want = results.probabilities, masked_softmax(z, mask)

    def fits(other: Array) -> bool:
        if part == "log_softmax":
            return np.shape(got) == other.shape and bool((abs(got - other) <= MOST_LEFT).all())
        # A logit of -1e9 for -inf is as good: its probability is 0 as well.
        return near(got, other, epsilon)

    right = fits(want)
    check = InputCheck(input.name, input.why, {part: right})
    if right:
        return check, None
    found = [BANK[id] for id, wrong in WRONG.items() if fits(wrong(z, mask))]
    yours = f"it raised {problem}" if got is None else array_text(got, want)
    example = {
        "z": array_text(z), "mask": array_text(mask), "yours": yours,
        "expected": array_text(want, got),
    }  # fmt: skip
    return check, Finding(
        "mask", (input.name,), tuple(found[:1]), example=example, wrong_values=got is not None
    )
