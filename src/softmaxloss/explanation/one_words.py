"""What the text, the page and the answers for one example all say."""

import math
import operator

import numpy as np
from numpy.typing import NDArray

from ..probabilities import look_like_probabilities
from .one_data import ExampleData, Layer, Path
from .rendering.names import in_sentence, listed
from .rendering.numbers import number, numbers, told_apart, worked
from .rendering.sections import Section, Table, class_rows

ONE_CLASS = "With one class, its probability is 1 and the loss 0, whatever the output is."

_AGAINST = "Descent moves each output against its derivative. {a_y} − 1 is "

#: Which outputs descent pushes where, and why: each sentence with the fact for which it is true.
PUSH = [
    ("still", "Every derivative is 0: {a_y} is 1, and nothing is pushed."),
    ("pushed", _AGAINST + "negative: the true output is pushed up."),
    ("impossible", _AGAINST + "−1, but the true output is −inf, and no step moves it from there."),
    (
        "all-others",
        "{a_n} is positive: every other output is pushed down, in proportion to its probability.",
    ),
    (
        "some-others",
        "The other outputs are pushed down in proportion to their probabilities; where {a_n} is "
        "0, as for an output of −inf, there is no push.",
    ),
    (
        "pushed",
        "The derivatives sum to 0: the true output is pushed up by as much as all the others "
        "together are pushed down.",
    ),
    ("impossible", "The derivatives sum to 0 all the same."),
]


def facts(e: ExampleData) -> dict[str, bool]:
    """Which facts hold for this example. quantities.js finds the same."""
    y, slopes = e.target, e.gradient
    moving, possible = bool(slopes.any()), bool(e.before.logits[y] > -math.inf)
    all_others = bool((np.delete(slopes, y) > 0).all())
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        product = e.gradient_by_probability * e.jacobian_row
        multiplied = bool((np.abs(product - slopes) <= 1e-6 * np.abs(slopes)).all())
    path = drawn_path(e)
    return {
        "softmax": e.defined,
        "still": not moving,
        "pushed": possible and moving,
        "impossible": not possible,
        "all-others": moving and all_others,
        "some-others": moving and not all_others,
        "product": multiplied,
        "no-product": not multiplied,
        "path": path is not None and int(path.steps[-1]) > 1,
        "reached": path is not None and path.reached,
        "not-reached": path is not None and not path.reached,
        "unchanged": True,
        **dict.fromkeys(["changed", "renumbered", "stale", "warm"], False),
    }


def drawn_path(e: ExampleData) -> Path | None:
    """The path of descent if it can be drawn, that is if its losses do not overflow."""
    path = e.path
    return path if path is not None and np.isfinite(path.loss).all() else None


def push(e: ExampleData) -> str:
    """Which outputs descent pushes where, and why, for this example."""
    true = facts(e)
    said = " ".join(sentence for fact, sentence in PUSH if true[fact])
    return said.format(a_y=f"a_{e.number(e.target)}", a_n="a_n")


def loss_formula(e: ExampleData) -> str:
    """The loss as −log a_y, with as many digits of a_y as it takes to compute it again."""
    shown = worked("−log {}", lambda a: -math.log(a), [_a(e)], e.before.loss)
    return f"J = −log a_{e.number(e.target)} = {shown}"


def slope_formula(e: ExampleData) -> str:
    """The derivative with respect to the true output, likewise."""
    i, slope = e.number(e.target), float(e.gradient[e.target])
    return f"∂J/∂z_{i} = a_{i} − 1 = {worked('{} − 1', lambda a: a - 1, [_a(e)], slope)}"


def share_formula(e: ExampleData) -> str:
    """The probability of the true class as a share of the denominator, likewise."""
    i, parts = e.number(e.target), [float(e.exponentials[e.target]), e.denominator]
    shown = worked("{} / {}", operator.truediv, parts, _a(e))
    return f"a_{i} = exp(z_{i} − m) / Σ exp(z − m) = {shown}"


def logits_formula(e: ExampleData) -> str:
    """The loss from the outputs, likewise."""
    minus_z, lse = -float(e.before.logits[e.target]), e.logsumexp
    sign, f = ("−", operator.sub) if lse < 0 else ("+", operator.add)
    shown = worked(f"{{}} {sign} {{}}", f, [minus_z, abs(lse)], e.loss_from_logits)
    return f"J = −z_{e.number(e.target)} + log Σ exp z = {shown}"


def _a(e: ExampleData) -> float:
    return float(e.before.probabilities[e.target])


def rising(e: ExampleData) -> str:
    """Which wrong probability a step raises although it lowers the output, and for how long.

    Goes on after "for"; empty where it raises none.
    """
    if not e.rising:
        return ""
    before, after, n, k = e.before, e.after, e.rising[0], e.strongest_other
    z = told_apart(float(before.logits[n]), float(after.logits[n]))
    a = told_apart(float(before.probabilities[n]), float(after.probabilities[n]))
    text = (
        f"class {in_sentence(e, n)}, z falls from {z[0]} to {z[1]}, yet a rises from {a[0]} to "
        f"{a[1]}, because the z of class {in_sentence(e, k)} falls more."
    )
    path = e.path
    if path is None:  # the true output is −inf, and there is no long run
        return text
    text += " In the long run a falls too"
    if path.reached and n in path.classes:
        share = float(path.probabilities[-1, path.classes == n][0])
        return f"{text}: after {path.steps[-1]} steps it is {number(share)}."
    return f"{text}, because a_{e.number(e.target)} goes to 1."


def layer_cells(layer: Layer, n: int, features: int) -> list[str]:
    """The cells of a class in the table of the layer."""
    change = layer.gradient[n] * layer.features
    weight = layer.weight[n] - layer.step * change
    after = (layer.after.logits[n], layer.after.probabilities[n])
    return [numbers(change, features), numbers(weight, features), *map(number, after)]


def layer_section(e: ExampleData, layer: Layer, cells: int, features: int) -> Section:
    """The layer that made the outputs; `cells` is the width of a class name, and of a vector at
    most `features` numbers are shown."""

    shown = e.listed()
    rows = class_rows(e, shown, cells, lambda n: layer_cells(layer, n, features), {e.target})
    plus_b, plus_1 = ("", "") if layer.bias is None else (" + b", " + 1")
    factor = f"(‖x‖²{plus_1})" if plus_1 else "‖x‖²"
    heads = ["class", "<∂J/∂W = ∂J/∂z · x", "<W after a step", "z after", "a after"]
    words = (
        f"x is {numbers(layer.features, features)}. ∂J/∂W = (a − onehot)·xᵀ: each row is x times "
        f"one number. So a step changes z by −{layer.step:g} · {factor} · ∂J/∂z, with "
        f"‖x‖²{plus_1} = {number(layer.gain)}; the loss after it is {number(layer.after.loss)}."
    )
    title = f"4. The layer that made the outputs, z = W·x{plus_b}"
    return Section(title, Table("One step for the weights", heads, rows), [words])


def remarks(e: ExampleData) -> list[str]:
    """What is unusual about an example, each in a sentence; for most there is nothing."""
    z, y, a = e.before.logits, e.target, e.before.probabilities
    if not e.defined:
        return [_no_softmax(e)]
    found = []
    loss = e.before.loss
    if look_like_probabilities(z[np.newaxis]):
        found.append(
            "These logits are not negative and sum to 1, as probabilities do. If the model's "
            "softmax has been applied already, pass from_probabilities=True (--probabilities): "
            "then z = log a, and softmax is not applied twice."
        )
    if z[y] == -math.inf:
        found += [
            "The logit of the true class is −inf: its probability is 0, and the loss is infinite.",
            "The gradient is finite all the same (−1 for the true class), but no step moves a "
            "logit away from −inf.",
        ]
    masked = np.flatnonzero((z == -math.inf) & (np.arange(z.size) != y))
    if masked.size:
        found.append(
            f"The logit of {_classes(e, masked)} is −inf: masked out, with probability 0 and no "
            "push. The loss is the same as without it."
        )
    largest = np.flatnonzero(z == z.max())
    if largest.size > 1:
        found.append(
            f"The largest logit is shared by {_classes(e, largest)}: the first of them is the "
            "prediction."
        )
    if math.isfinite(loss):
        if loss > 0 and not math.isclose(loss, e.loss_from_logits, rel_tol=1e-6):
            found.append(
                "−z_y + log Σ exp z loses digits here, because its two terms cancel in float64. "
                "The loss itself is computed as (m − z_y) + log(1 + S), where nothing cancels: m "
                "is the largest logit, S the sum of exp(z_n − m) over the other classes."
            )
        if a[y] == 0.0:
            found.append(
                "The probability of the true class is too small for float64 and rounds to 0. The "
                "loss is computed from the logits and stays right; the log of the probability "
                "would be −inf."
            )
        if z.size > 1 and not e.gradient.any():
            found.append(
                "Every derivative is 0: the true class has all the probability, and nothing is "
                "pushed."
            )
        if e.after.loss == loss and loss > 0:
            found.append(
                "The step changes nothing that float64 can show: it is too small compared with "
                "these logits."
            )
    return found


def _no_softmax(e: ExampleData) -> str:
    """Why this row has no softmax, in one sentence."""
    z = e.before.logits
    nan, infinite = np.flatnonzero(np.isnan(z)), np.flatnonzero(z == math.inf)
    if nan.size:
        return (
            f"The logit of {_classes(e, nan)} is NaN (not a number), so every probability, the "
            "loss and the whole gradient are NaN: find out where the NaN comes from."
        )
    if infinite.size:
        return (
            f"The logit of {_classes(e, infinite)} is +inf, and softmax would divide infinity by "
            "infinity: every probability, the loss and the whole gradient are NaN."
        )
    return (
        "Every logit is −inf, so every class is masked out and softmax would divide 0 by 0: the "
        "probabilities, the loss and the gradient are NaN."
    )


def _classes(e: ExampleData, positions: NDArray[np.intp]) -> str:
    return listed(positions + e.first_class)
