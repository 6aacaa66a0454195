"""A softmax with a mask: the outputs that it leaves out have probability 0, the others sum to 1."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...arrays import Array
from ..bank import BANK
from ..inputs import Input
from ..reference import masked_softmax, near, softmax
from ..report import Finding, InputCheck, array_text

#: What wrong versions compute from the logits and the mask, by the id of the mistake.
WRONG: dict[str, Callable[[Array, Array], Array]] = {
    "mask-times-logits": lambda z, mask: softmax(z * mask)[0],
    "masked-not-normalised": lambda z, mask: softmax(z)[0] * mask,
    "mask-unused": lambda z, mask: softmax(z)[0],
}


def check_mask(
    input: Input, got: Any, problem: str | None, epsilon: float
) -> tuple[InputCheck, Finding | None]:
    """Compare the probabilities that a softmax with a mask returned."""
    z, mask = input.z.astype(np.float64), np.asarray(input.options["mask"])
    want = masked_softmax(z, mask)
    # A logit of -1e9 for -inf is as good: its probability is 0 as well.
    right = near(got, want, epsilon)
    check = InputCheck(input.name, input.why, {"softmax": right})
    if right:
        return check, None
    found = [BANK[id] for id, wrong in WRONG.items() if near(got, wrong(z, mask), epsilon)]
    yours = f"it raised {problem}" if got is None else array_text(got, want)
    example = {
        "z": array_text(z), "mask": array_text(mask), "yours": yours,
        "expected": array_text(want, got),
    }  # fmt: skip
    return check, Finding(
        "mask", (input.name,), tuple(found[:1]), example=example, wrong_values=got is not None
    )
