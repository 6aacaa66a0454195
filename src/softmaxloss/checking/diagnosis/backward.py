"""The backward of a softmax: the upstream gradient times the Jacobian.

softmax        ∂L/∂z_n = a_n·(g_n − Σ_k a_k·g_k)
log softmax    ∂L/∂z_n = g_n − a_n·Σ_k g_k
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...arrays import Array
from ..bank import BANK
from ..inputs import Input
from ..reference import FEW, jacobian_product, softmax
from ..report import Finding, InputCheck, array_text

Backward = Callable[[Any, Any], Any]  # of the probabilities and the upstream gradient


def _log_product(a: Any, g: Any) -> Any:
    return g - a * g.sum(axis=1, keepdims=True)


#: What wrong versions compute, by the id of the mistake.
WRONG: dict[str, Backward] = {
    "derivative-of-the-probability": lambda a, g: g * a * (1 - a),
    "softmax-not-differentiated": lambda a, g: g,
    "jacobian-sum-left-out": lambda a, g: a * g,
    "gradient-flipped": lambda a, g: -jacobian_product(a, g),
}
WRONG_OF_LOG: dict[str, Backward] = {
    "softmax-not-differentiated": lambda a, g: g,
    "jacobian-sum-left-out": lambda a, g: g - a,
    "derivative-of-the-probability": lambda a, g: g * (1 - a),
    "gradient-flipped": lambda a, g: -_log_product(a, g),
}


def check_backward(
    part: str, input: Input, got: Any, epsilon: float, off: float = 0.0
) -> tuple[InputCheck, Finding | None]:
    """Compare what backward returned for an upstream gradient of each probability.

    The probabilities, of which it is computed, are `off` by so much: by an ε in their sum.
    """
    a, g = softmax(input.z.astype(np.float64))[0], np.asarray(input.upstream, np.float64)
    log = part == "log_softmax"
    want = (_log_product if log else jacobian_product)(a, g)

    def near(y: Array) -> bool:
        if got is None or np.shape(got) != y.shape:
            return False
        bound = (64 * epsilon * FEW + g.shape[1] * off) * (1 + np.abs(g).max())
        return bool((np.abs(got - y) <= bound).all())

    right = near(want)
    check = InputCheck(input.name, input.why, {"gradient": right})
    if right:
        return check, None
    candidates = WRONG_OF_LOG if log else WRONG
    found = tuple(BANK[id] for id, wrong in candidates.items() if near(wrong(a, g)))
    yours = "another shape" if got is None else array_text(got, want)
    example = {
        "z": array_text(input.z),
        "upstream": array_text(g),
        "yours": yours,
        "expected": array_text(want, got),
    }
    return check, Finding(
        "gradient", (input.name,), found[:1], found[1:], example=example, wrong_values=True
    )
