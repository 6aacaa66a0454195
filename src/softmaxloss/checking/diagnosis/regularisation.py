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


def _penalty(
    terms: tuple[str, str],
    value: Callable[[Array], Any],
    gradient: Callable[[Array], Any],
    *ids: str,
    wrong: str = "",
    factor: tuple[str, float] = ("", 1.0),
    over_n: bool = False,
) -> Penalty:
    """A factor times reg times a function of W, divided by the number of examples or not."""
    by = "/N" if over_n else ""

    def scaled(rows: int, reg: float) -> float:
        return factor[1] * reg / (rows if over_n else 1)

    return Penalty(
        f"{factor[0]}{terms[0]}{by}",
        f"{factor[0]}{terms[1]}{by}".replace("½·2·", "").replace("2·2·", "4·"),
        lambda W, rows, reg: scaled(rows, reg) * value(W),
        lambda W, rows, reg: scaled(rows, reg) * gradient(W),
        (wrong,) if wrong else ids,
        wrong,
    )


def _sum_of_squares(W: Array) -> Any:
    return (W * W).sum()


def _squares(*ids: str, **options: Any) -> Penalty:
    return _penalty(("reg·ΣW²", "2·reg·W"), _sum_of_squares, lambda W: 2 * W, *ids, **options)


def _without_bias(row: int, *ids: str, **options: Any) -> Penalty:
    """ΣW² without the row of the bias."""

    def kept(W: Array) -> Array:
        W = W.copy()
        W[row] = 0
        return W

    terms = ("reg·ΣW² without the bias", "2·reg·W without the bias")
    return _penalty(
        terms, lambda W: _sum_of_squares(kept(W)), lambda W: 2 * kept(W), *ids, **options
    )


def _powers(half: str, factor: float, power: int) -> Penalty:
    """reg² for reg, or no reg."""
    of, without = ("reg²·", "") if power else ("", ", without reg")
    return Penalty(
        f"{half}{of}ΣW²{without}",
        f"{half}2·{of}W{without}".replace("½·2·", ""),
        lambda W, rows, reg: factor * reg**power * _sum_of_squares(W),
        lambda W, rows, reg: 2 * factor * reg**power * W,
        ("regularisation-wrong",),
        "regularisation-wrong",
    )


WHOLE, HALF = ("", 1.0), ("½·", 0.5)
BIAS, OVER_N, L1 = "bias-not-regularised", "regularisation-over-n", "l1-regularisation"
Function = Callable[[Array], Any]
OTHERS: tuple[tuple[str, tuple[str, str], Function, Function], ...] = (
    ("regularisation-not-squared", ("reg·ΣW", "reg"), np.sum, np.ones_like),
    (
        "regularisation-by-the-norm",
        ("reg·‖W‖", "reg·W/‖W‖"),
        np.linalg.norm,
        lambda W: W / np.linalg.norm(W),
    ),
    (
        "regularisation-wrong",
        ("reg·mean(W²)", "reg·2·mean(W)"),
        lambda W: (W * W).mean(),
        lambda W: np.full_like(W, 2 * W.mean()),
    ),
    (
        "regularisation-wrong",
        ("reg·(ΣW)²", "reg·ΣW²"),
        lambda W: W.sum() ** 2,
        lambda W: np.full_like(W, _sum_of_squares(W)),
    ),
)

#: The right ones are first.
PENALTIES = [
    _squares(),
    _squares("half-regularisation", factor=HALF),
    _squares(OVER_N, factor=HALF, over_n=True),
    _squares(OVER_N, over_n=True),
    *(_without_bias(row, BIAS, factor=factor) for row in (0, -1) for factor in (WHOLE, HALF)),
    *(
        _without_bias(row, OVER_N, BIAS, factor=factor, over_n=True)
        for row in (0, -1)
        for factor in (WHOLE, HALF)
    ),
    *(
        _penalty(
            ("reg·Σ|W|", "reg·sign(W)"),
            lambda W: np.abs(W).sum(),
            np.sign,
            *([L1, OVER_N] if over_n else [L1]),
            factor=factor,
            over_n=over_n,
        )
        for factor in (WHOLE, HALF)
        for over_n in (False, True)
    ),
    _penalty(("nothing", "nothing"), lambda W: 0.0, np.zeros_like, "no-regularisation"),
    *(
        _penalty(terms, value, gradient, wrong=id, factor=factor, over_n=over_n)
        for id, terms, value, gradient in OTHERS
        for factor in (WHOLE, HALF)
        for over_n in (False, True)
    ),
    *(
        _squares(wrong="regularisation-wrong", factor=factor)
        for factor in (("2·", 2.0), ("¼·", 0.25), ("−", -1.0), ("−½·", -0.5))
    ),
    *(_powers(*factor, power) for factor in (WHOLE, HALF) for power in (0, 2)),
]

RIGHT = PENALTIES[0]


def check_regularisation(
    input: Input, got: Results, data: Results, parts: Sequence[str], epsilon: float
) -> tuple[InputCheck, Finding | None] | None:
    """Compare a loss and ∂J/∂W with reg, given those with reg = 0; None where
    there are none, or no finite ones.

    Half of the term, with half of its gradient, is a convention, and so is the term over N.
    """
    parts = [part for part in parts if part in ("loss", "gradient")]
    if any(getattr(one, part) is None for one in (got, data) for part in parts):
        return None
    if not all(np.isfinite(getattr(data, part)).all() for part in parts):
        return None
    W, X = layer_for(input.z.astype(np.float64))
    if "gradient" in parts and np.asarray(data.gradient).shape != W.shape:
        return None  # a gradient of a wrong shape
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
    # A term that both have is a convention, or wrong; else the gradient is that of the loss.
    meant = next((one for one in first.values() if one.is_right() and not common), RIGHT)
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
    fix = _fix(meant) if mistakes == ("regularisation-gradient",) else ""
    remarks = [_remark(part, got, data, first.get(part), W, reg) for part in parts]
    return checked, Finding(
        "reg",
        (input.name,),
        tuple(BANK[id] for id in mistakes),
        example=example,
        remarks=tuple(remarks),
        fix=fix,
    )


def _fix(penalty: Penalty) -> str:
    """The gradient of the penalty in the loss, as a line of NumPy."""
    term, _, note = penalty.in_gradient.partition(" without ")
    code = (
        term.replace("·", " * ").replace("½", "0.5").replace("/", " / ").replace("sign", "np.sign")
    )
    return f"dW += {code}" + (f"   # without {note}" if note else "")


def _that_differ(loss: Penalty, gradient: Penalty) -> tuple[str, ...]:
    """What it is if the loss and the gradient have different terms."""
    if loss.wrong:
        return tuple(dict.fromkeys(id for id in (loss.wrong, gradient.wrong) if id))
    if loss.in_gradient.replace("/N", "") == gradient.in_gradient.replace("/N", ""):
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
