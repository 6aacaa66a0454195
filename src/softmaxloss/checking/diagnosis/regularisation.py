"""The regularisation term of a layer: which one was added to the loss, and which to its gradient.

They are looked for separately: what is left of each after the right data loss is subtracted.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...arrays import Array
from ..bank import BANK
from ..inputs import Input, layer_for
from ..reference import Results, near
from ..report import Finding, InputCheck, array_text


class Penalty(NamedTuple):
    """A term that is added to the loss, and its gradient."""

    in_loss: str
    in_gradient: str
    value: Callable[[Array, int, float], Any]  # of W, the number of examples and reg
    gradient: Callable[[Array, int, float], Array]
    ids: tuple[str, ...] = ()  # what it is if both have it; empty: right
    wrong: str = ""  # what each is by itself

    def is_right(self) -> bool:
        """Whether it is a right term, in some convention."""
        return not self.wrong and self.in_loss != "nothing"


def _squares(factor: float, *ids: str, over_n: bool = False, without: int | None = None) -> Penalty:
    """This factor times reg·ΣW², divided by the number of examples, without a row of W."""

    def scaled(W: Array, rows: int, reg: float) -> Array:
        kept = W.copy()
        if without is not None:
            kept[without] = 0
        return reg * factor * kept / (rows if over_n else 1)

    sign = "−" if factor < 0 else ""
    halves = {0.25: "¼·", 0.5: "½·", 1.0: "", 2.0: "2·", 4.0: "4·"}
    by, bias = "/N" if over_n else "", "" if without is None else " without the bias"
    return Penalty(
        f"{sign}{halves[abs(factor)]}reg·ΣW²{by}{bias}",
        f"{sign}{halves[abs(factor) * 2]}reg·W{by}{bias}",
        lambda W, rows, reg: (scaled(W, rows, reg) * W).sum(),
        lambda W, rows, reg: 2 * scaled(W, rows, reg),
        ids,
        "regularisation-wrong" if factor not in (0.5, 1) else "",
    )


def _wrong(
    id: str, in_loss: str, in_gradient: str, value: Callable[..., Any], gradient: Callable[..., Any]
) -> Penalty:
    return Penalty(in_loss, in_gradient, value, gradient, (id,), id)


BIAS, OVER_N, HALF_OF_IT = "bias-not-regularised", "regularisation-over-n", "half-regularisation"

#: Those that are right first.
PENALTIES = [
    _squares(1.0),
    _squares(0.5, HALF_OF_IT),
    _squares(0.5, OVER_N, over_n=True),
    _squares(1.0, OVER_N, over_n=True),
    *(_squares(factor, BIAS, without=row) for row in (0, -1) for factor in (1.0, 0.5)),
    *(
        _squares(factor, OVER_N, BIAS, over_n=True, without=row)
        for row in (0, -1)
        for factor in (0.5, 1.0)
    ),
    Penalty(
        "nothing",
        "nothing",
        lambda W, rows, reg: 0.0,
        lambda W, rows, reg: np.zeros_like(W),
        ("no-regularisation",),
    ),
    _wrong(
        "regularisation-not-squared",
        "reg·ΣW",
        "reg",
        lambda W, rows, reg: reg * W.sum(),
        lambda W, rows, reg: np.full_like(W, reg),
    ),
    *(
        _wrong(
            "regularisation-by-the-norm",
            f"{half}reg·‖W‖",
            f"{half}reg·W/‖W‖",
            lambda W, rows, reg, by=by: by * reg * np.linalg.norm(W),
            lambda W, rows, reg, by=by: by * reg * W / np.linalg.norm(W),
        )
        for half, by in (("", 1.0), ("½·", 0.5))
    ),
    _wrong(
        "regularisation-wrong",
        "reg·Σ|W|",
        "reg·sign(W)",
        lambda W, rows, reg: reg * np.abs(W).sum(),
        lambda W, rows, reg: reg * np.sign(W),
    ),
    _wrong(
        "regularisation-wrong",
        "ΣW², without reg",
        "2·W, without reg",
        lambda W, rows, reg: (W * W).sum(),
        lambda W, rows, reg: 2 * W,
    ),
    _wrong(
        "regularisation-wrong",
        "½·ΣW², without reg",
        "W, without reg",
        lambda W, rows, reg: (W * W).sum() / 2,
        lambda W, rows, reg: W,
    ),
    _wrong(
        "regularisation-wrong",
        "reg²·ΣW²",
        "2·reg²·W",
        lambda W, rows, reg: reg**2 * (W * W).sum(),
        lambda W, rows, reg: 2 * reg**2 * W,
    ),
    _wrong(
        "regularisation-wrong",
        "reg·mean(W²)",
        "2·reg·mean(W)",
        lambda W, rows, reg: reg * (W * W).mean(),
        lambda W, rows, reg: np.full_like(W, 2 * reg * W.mean()),
    ),
    _wrong(
        "regularisation-wrong",
        "reg·(ΣW)²",
        "reg·ΣW²",
        lambda W, rows, reg: reg * W.sum() ** 2,
        lambda W, rows, reg: np.full_like(W, reg * (W * W).sum()),
    ),
    _squares(2.0, "regularisation-wrong"),
    _squares(0.25, "regularisation-wrong"),
    _squares(-1.0, "regularisation-wrong"),
    _squares(-0.5, "regularisation-wrong"),
]


RIGHT = PENALTIES[0]


def check_regularisation(
    input: Input, got: Results, data: Results, parts: Sequence[str], epsilon: float
) -> tuple[InputCheck, Finding | None] | None:
    """Compare a loss and ∂J/∂W with reg, given those with reg = 0; None if there are none.

    Half of the term, with half of its gradient, is a convention, and so is the term over N.
    """
    if any(getattr(one, part) is None for one in (got, data) for part in parts):
        return None
    W, X = layer_for(input.z.astype(np.float64))
    rows, reg = input.z.shape[0], input.reg

    def gives(penalty: Penalty, part: str) -> bool:
        add = penalty.value if part == "loss" else penalty.gradient
        return near(getattr(got, part), getattr(data, part) + add(W, rows, reg), epsilon)

    matches = {part: [one for one in PENALTIES if gives(one, part)] for part in parts}
    common = [one for one in PENALTIES if all(one in found for found in matches.values())]
    if common:
        mistakes, first = common[0].ids, dict.fromkeys(parts, common[0])
    elif all(matches.values()):
        first = {part: found[0] for part, found in matches.items()}
        mistakes = _that_differ(first["loss"], first["gradient"])
    else:
        first, mistakes = {part: found[0] for part, found in matches.items() if found}, ()
    meant = next((one for one in first.values() if one.is_right()), RIGHT)
    added = {"loss": meant.value(W, rows, reg), "gradient": meant.gradient(W, rows, reg)}
    want = {part: getattr(data, part) + added[part] for part in parts}
    right = {part: first.get(part) is RIGHT for part in parts}
    checked = InputCheck(input.name, input.why, right)
    if all(right.values()):
        return checked, None
    shown = next((p for p in parts if not near(getattr(got, p), want[p], epsilon)), parts[0])
    value, name = getattr(got, shown), {"loss": "loss", "gradient": "dW"}[shown]
    example = {"W": array_text(W), "X": array_text(X), "y": array_text(input.y), "reg": str(reg)}
    example["yours"] = f"{name} {array_text(value, want[shown])}"
    example["expected"] = f"{name} {array_text(want[shown], value)}"
    remarks = [_remark(part, got, data, first.get(part), W, reg) for part in parts]
    return checked, Finding(
        "reg",
        (input.name,),
        tuple(BANK[id] for id in mistakes),
        example=example,
        remarks=tuple(remarks),
    )


def _that_differ(loss: Penalty, gradient: Penalty) -> tuple[str, ...]:
    """What it is if the loss and the gradient have different terms."""
    if loss.wrong:
        return tuple(dict.fromkeys(id for id in (loss.wrong, gradient.wrong) if id))
    if loss.in_loss.replace("/N", "") == gradient.in_loss.replace("/N", ""):
        return ("regularisation-scaled-once",)
    return ("regularisation-gradient",)


def _remark(
    part: str, got: Results, data: Results, penalty: Penalty | None, W: Array, reg: float
) -> str:
    """What was added, in numbers."""
    if part == "gradient":
        term = "another term" if penalty is None else penalty.in_gradient
        return f"to the dW of the data loss you add {term}"
    squares, added = float((W * W).sum()), float(got.loss - data.loss)
    term = f"{added / (reg * squares):.4g}·reg·ΣW²" if penalty is None else penalty.in_loss
    is_data = "the data loss alone" if term == "nothing" else f"data loss + {term}"
    return (
        f"reg {reg:.4g}, ΣW² {squares:.4g}, data loss {float(data.loss):.4g}, "
        f"yours {float(got.loss):.4g}: that is {is_data}"
    )
