"""What one example says to each question of `questions.py`: a sentence or two with its numbers.

Each function is for an example with a softmax and two classes or more. No formula has rounded
numbers on both sides that could contradict each other: sums and products stay letters.
"""

from __future__ import annotations

import math

import numpy as np

from ..api import cross_entropy
from ..text import shorten
from .explanation import Explanation
from .words import argument, number, told_apart

__all__ = [
    "Example",
    "derivatives_sum",
    "good_loss",
    "gradient_sign",
    "index_or_one_hot",
    "logits",
    "minus_infinity",
    "only_true_class",
    "order",
    "others_learn",
    "same_as_frameworks",
    "several_labels",
    "softmax_or_sigmoid",
    "step_size",
    "subtract_max",
    "zero_or_one_based",
]

LISTED = 12  # a row of more classes is described
NAMED = 6  # of more classes a sentence names only the strongest
NAME_CELLS = 24
OVERFLOW = math.log(np.finfo(np.float64).max)  # 709.78: exp of more is inf
OVERFLOW32 = math.log(np.finfo(np.float32).max)  # 88.72
UNDERFLOW = -745.14  # exp of less is 0 in float64
MINUS_INF = 'float("-inf")'  # as Python reads it
EPSILON = float(np.finfo(np.float64).eps)  # scikit-learn cuts probabilities off here


class Example:
    """An explanation, and the names of what the sentences speak of.

    y and r are the positions of the true class and of the strongest other, i and k their numbers
    in the caller's labels.
    """

    def __init__(self, e: Explanation) -> None:
        self.e = e
        self.z, self.a, self.y = e.before.logits, e.before.probabilities, e.target
        r = int(np.argmax(np.delete(self.z, self.y)))
        self.r = r + (r >= self.y)
        self.i, self.k = e.number(self.y), e.number(self.r)
        self.impossible = self.z[self.y] == -math.inf
        self.alone = self.z[self.r] == -math.inf  # every other class is masked out

    def name(self, n: int) -> str:
        """The class for a sentence: its number, and its name where it has one."""
        known = f"class {self.e.number(n)}"
        names = self.e.classes
        return known if names is None else f"{known} ({shorten(names[n], NAME_CELLS)})"

    def nothing_left(self) -> str:
        """Why every derivative is 0."""
        if self.alone:
            return f"every other class is masked out, so a_{self.i} is 1"
        return f"a_{self.i} is 1 as far as float64 can show"


def loss(x: float) -> str:
    """A loss, which may be infinite."""
    return "+inf" if x == math.inf else number(x)


def losses(x: float, y: float) -> tuple[str, str]:
    """Two losses with as many decimals as it takes to tell them apart."""
    return (loss(x), loss(y)) if math.isinf(x) or math.isinf(y) else told_apart(x, y)


def only_true_class(x: Example) -> str:
    i, J = x.i, x.e.before.loss
    a = argument(x.a[x.y], lambda a: -math.log(a), J)
    middle = f"−log {a} = " if a else ""
    text = f"Here J = −log a_{i} = {middle}{loss(J)}, one of {x.a.size} losses that were possible: "
    shown = list(range(x.a.size)) if x.a.size <= NAMED else sorted({x.y, x.r})
    text += ", ".join(f"{loss(x.e.terms[n])} for {x.name(n)}" for n in shown)
    if x.a.size > NAMED:
        text += ", and so on"
    if x.alone:
        return f"{text}. No other class has a share of the denominator: each is masked out."
    others = "The other has" if x.a.size == 2 else f"The {x.a.size - 1} others have"
    share = -float(x.e.gradient[x.y])  # 1 − a_y without its rounding
    return f"{text}. {others} {number(share)} of the denominator."


def others_learn(x: Example) -> str:
    if not x.e.gradient.any():
        return f"Here {x.nothing_left()}: every derivative is 0, and nothing is left to learn."
    k = x.k
    return (
        f"Here the strongest other is {x.name(x.r)}: ∂J/∂z_{k} = a_{k} = {number(x.a[x.r])}, and a "
        f"step of {x.e.step:g} {_moves(x, x.r)}."
    )


def gradient_sign(x: Example) -> str:
    i, slope = x.i, float(x.e.gradient[x.y])
    if slope == 0:
        return f"Here {x.nothing_left()}: ∂J/∂z_{i} is 0, and nothing is pushed."
    a = argument(x.a[x.y], lambda a: a - 1, slope)
    middle = f"{a} − 1 = " if a else ""
    return (
        f"Here ∂J/∂z_{i} = a_{i} − 1 = {middle}{number(slope)}, and a step of {x.e.step:g} "
        f"{_moves(x, x.y)}."
    )


def derivatives_sum(x: Example) -> str:
    slope = float(x.e.gradient[x.y])
    if slope == 0:
        return f"Here {x.nothing_left()}: every derivative is 0, and so is their sum."
    others = (
        f"that of {x.name(x.r)}, the other one, is"
        if x.a.size == 2
        else f"those of the {x.a.size - 1} others add up to"
    )
    # By definition the same number: printed from one value, so that both are rounded alike.
    return (
        f"Here the derivative of {x.name(x.y)}, the true one, is {number(slope)}, and {others} "
        f"{number(-slope)}: together 0."
    )


def step_size(x: Example) -> str:
    e, i = x.e, x.i
    if x.impossible:
        return (
            f"Here z_{i} is -inf, which no step changes: J stays +inf, however large the step is."
        )
    before, after = e.before.loss, e.after.loss
    a_after = float(e.after.probabilities[x.y])
    if before == 0:
        return f"Here {x.nothing_left()}: J is 0, and no step is needed."
    if math.isinf(before):
        return f"Here J is too large for float64, and so is what a step of {e.step:g} would show."
    estimate = e.step * math.fsum(e.gradient**2)
    if not (math.isfinite(before - after) and math.isfinite(estimate)):
        return f"Here a step of {e.step:g} takes the outputs out of the range of float64."
    # Rounding of the outputs and of J, beside what the step does to them.
    rounding = EPSILON * max(abs(x.z[x.y]), abs(x.z[x.r]))
    if -e.step * e.gradient[x.y] < 1e3 * rounding or before - after < 1e3 * EPSILON * before:
        return (
            f"Here a step of {e.step:g} is so small beside these outputs that float64 shows "
            f"nothing of it but rounding: J stays {loss(before)}."
        )
    fall = min(before - after, estimate)  # above it only by rounding, which would be confusing
    text = (
        f"Here a step of {e.step:g} {_moves(x, x.y)}, and a_{i} {_change(x.a[x.y], a_after)}. J "
        f"falls by {number(fall)}; the bound {e.step:g} · Σ (∂J/∂z_n)² is "
        f"{number(estimate)}."
    )
    assert e.path is not None  # J is finite
    steps, reached = int(e.path.steps[-1]), float(e.path.target_probability[-1])
    if steps > 1 and math.isfinite(reached):
        text += f" After {steps} such steps a_{i} is {number(reached)}."
    return text


def order(x: Example) -> str:
    e = x.e
    assert e.predicted is not None
    p, count = e.predicted, x.a.size
    tied = int((x.z == x.z[p]).sum())
    shared = "" if tied == 1 else f" (shared by {tied} classes: the first of them is taken)"
    text = (
        f"Here the largest output is z_{e.number(p)} = {number(x.z[p])}{shared}, and {x.name(p)} "
        f"is predicted, with probability {number(x.a[p])}. "
    )
    if p == x.y:
        return f"{text}That is the true class."
    return f"{text}The true class, {x.name(x.y)}, has rank {e.rank} of {count} in z, and so in a."


def several_labels(x: Example) -> str:
    both = np.zeros(x.z.size)
    both[[x.y, x.r]] = 1.0
    total = float(cross_entropy(x.z, both, multi_label="sum"))
    mean = float(cross_entropy(x.z, both, multi_label="mean"))
    why = " (a class that is masked out cannot be a label)" if x.alone or x.impossible else ""
    text = f"Here, with {x.name(x.r)} as a second label, J = −log a_{x.i} − log a_{x.k} = "
    if math.isinf(total):
        return f'{text}{loss(total)} with "sum", and with "mean" too{why}.'
    return f'{text}{number(total)} with "sum", and half of it, {number(mean)}, with "mean".'


def zero_or_one_based(x: Example) -> str:
    e, i = x.e, x.i
    if e.first_class == 0:
        text, n, end = f"Here the label {i} counts from 0", x.y - 1, 1
    else:
        text, n, end = f"Here the label {i} counts from 1", x.y + 1, 0
    text += f": it is output {x.y + 1} of {x.z.size}. If it was meant to count from {end}, "
    if not 0 <= n < x.z.size:
        valid = f"{end} to {x.z.size - 1 + end}"
        return f"{text}it would be no class at all: labels would go from {valid}."
    if e.terms[n] == e.before.loss:
        numbers = f"and the loss, by chance, {loss(e.terms[n])} as well"
    else:
        other, J = losses(float(e.terms[n]), e.before.loss)
        numbers = f"and the loss {other}, not {J}"
    return f"{text}the true class would be the one that is numbered {e.number(n)} here, {numbers}."


def index_or_one_hot(x: Example) -> str:
    onehot = np.zeros(x.z.size)
    onehot[x.y] = 1.0
    J = float(cross_entropy(x.z, onehot))
    if x.z.size <= LISTED:
        row = f"the one-hot row [{', '.join(f'{q:.0f}' for q in onehot)}]"
    else:
        row = (
            f"a one-hot row of {x.z.size} numbers: a 1 in place {x.y + 1}, and 0 in all the others"
        )
    text = f"Here the index {x.i} stands for {row}. With either of them J is {loss(J)}"
    if (x.a == 0).any() and not x.impossible:
        text += "; 0 · log 0 would be NaN, so those terms must be left out, not multiplied"
    return f"{text}."


def softmax_or_sigmoid(x: Example) -> str:
    J, twice = x.e.before.loss, float(cross_entropy(x.a, x.y))
    sigmoids = np.exp(-np.logaddexp(0.0, -x.z))
    total = math.fsum(sigmoids)
    text = f"Here the sigmoids of the outputs sum to {number(total)}, the softmax to 1. "
    if x.z.size == 2:
        text += (
            "With two classes softmax is one sigmoid, that of the difference: "
            f"a_{x.i} = sigmoid(z_{x.i} − z_{x.k}) = {number(x.a[x.y])}. "
        )
    if loss(twice) == loss(J):
        return f"{text}Softmax applied twice by mistake would not show here: J would be the same."
    return f"{text}Softmax applied twice by mistake would give J = {loss(twice)}, not {loss(J)}."


def same_as_frameworks(x: Example) -> str:
    """The calls, one a line. They count classes from 0, whatever the caller does."""
    y, count, J = x.y, x.z.size, x.e.before.loss
    row = [repr(float(z)) if np.isfinite(z) else MINUS_INF for z in x.z[:LISTED]]
    calls = [
        f"z, y = [{', '.join(row)}], {y}"
        if count <= LISTED
        else f"z, y = logits, {y}  # all {count} logits",
        "softmaxloss.cross_entropy(z, y)",
        "torch.nn.functional.cross_entropy(torch.tensor(z), torch.tensor(y))",
        "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)",
        "-scipy.special.log_softmax(z)[y]",
    ]
    text = f"Here J is {loss(J)}{'; y counts from 0' if x.e.first_class else ''}:\n\n"
    notes = []
    if x.a[y] >= EPSILON:
        calls.append(
            "sklearn.metrics.log_loss([y], [scipy.special.softmax(z)], labels=range(len(z)))"
        )
    else:
        notes.append(
            f"scikit-learn's log_loss takes probabilities and raises a_{x.i} to 2.2e-16: it would "
            "say 36.0437."
        )
    if 0 < J < 1e-3:
        notes.append(
            "Such a small loss only softmaxloss keeps: rounding leaves the others some 1e-7 away "
            "in float32, where it may be 0, and 1e-16 in float64."
        )
    else:
        with np.errstate(over="ignore"):
            single = float(cross_entropy(x.z.astype(np.float32), y))
        if not math.isclose(single, J, rel_tol=1e-3):
            notes.append(
                "PyTorch and TensorFlow make float32 of these numbers, which changes them: pass "
                "dtype=torch.float64 and tf.constant(z, tf.float64)."
            )
    text += "\n".join(f"   {call}" for call in calls)
    if notes:
        text += "\n\n" + " ".join(notes)
    return text


def good_loss(x: Example) -> str:
    e, J = x.e, x.e.before.loss
    uniform = e.uniform_loss
    if math.isclose(J, uniform):
        beside, shown = "equal to", (number(J), number(uniform))
    else:
        beside, shown = "above" if uniform < J else "below", losses(J, uniform)
    bits = "" if math.isinf(J) else f" ({number(e.bits)} bits)"
    assert e.predicted is not None
    text = (
        f"Here J = {shown[0]} nats{bits} is {beside} ln {e.choices} = {shown[1]}, and exp(−J) = "
        f"a_{x.i} = {number(x.a[x.y])}. "
    )
    if e.predicted == x.y:
        return f"{text}The prediction is {x.name(x.y)}, and right."
    return f"{text}The prediction is {x.name(e.predicted)}, and wrong."


def logits(x: Example) -> str:
    i, k = x.i, x.k
    if x.impossible:
        return f"Here z_{i} is -inf: the log of a probability that is 0."
    if x.alone:
        return f"Here all outputs but z_{i} are -inf, the log of a probability that is 0."
    with np.errstate(over="ignore"):
        difference = float(x.z[x.y] - x.z[x.r])
        odds = float(np.exp(difference))
    text = f"Here z_{i} − z_{k} = {number(difference)}"
    if not math.isfinite(difference):
        text = f"Here z_{i} and z_{k} are too far apart for float64"
    elif odds in (0.0, math.inf):
        size = "small" if odds == 0 else "large"
        text += f", so a_{i} / a_{k} is too {size} for float64"
    elif odds == 1:
        text += f", so {x.name(x.y)} is as likely as {x.name(x.r)}"
    else:
        text += f", so {x.name(x.y)} is {number(odds)} times as likely as {x.name(x.r)}"
    log_a = number(-x.e.before.loss)
    return f"{text}. And z_{i} − log Σ exp z = log a_{i} = {log_a}, which is −J."


def subtract_max(x: Example) -> str:
    e, m = x.e, x.e.largest
    assert e.predicted is not None
    low = float(e.exponentials.min())
    others = "is 1 for all classes" if low == 1 else f"goes from {number(low)} to 1"
    text = f"Here m = z_{e.number(e.predicted)} = {number(m)}, and exp(z_n − m) {others}. "
    if m > OVERFLOW:
        return f"{text}Without the subtraction exp m would be inf: NaN, in float64 too."
    if m < UNDERFLOW:
        return f"{text}Without the subtraction every exp z would be 0: 0 / 0, which is NaN as well."
    text += f"exp m itself is {number(math.exp(m))}"
    if m > OVERFLOW32:
        return f"{text}: float64 holds it, in float32 it is inf."
    if m > OVERFLOW - 1000:
        return (
            f"{text}; with 1000 added to every output it would be inf, but with the subtraction "
            f"a_{x.i} is {number(x.a[x.y])} all the same."
        )
    return f"{text}."


def minus_infinity(x: Example) -> str:
    i, J = x.i, x.e.before.loss
    if x.impossible:
        return (
            f"Here it is so: z_{i} is -inf, a_{i} is 0, J is +inf and ∂J/∂z_{i} is -1. Look for a "
            "mask that hides the label."
        )
    masked = int((x.z == -math.inf).sum())
    value = number(x.z[x.y])
    if math.isinf(J):
        return f"Here z_{i} = {value} is finite; J is +inf only because float64 ends at 1.8e+308."
    if masked:
        classes = "1 other class is" if masked == 1 else f"{masked} other classes are"
        return f"Here z_{i} = {value} is finite. {classes} masked out, and J is {number(J)}."
    return f"Here z_{i} = {value} is finite, no class is masked out, and J is {number(J)}."


def _moves(x: Example, n: int) -> str:
    """What the step does to output n: "takes z_2 from 0.1000 to 0.1904"."""
    before, after = float(x.z[n]), float(x.e.after.logits[n])
    name = f"z_{x.e.number(n)}"
    if before == after:
        why = "" if before == -math.inf else ": it is too small beside it for float64"
        return f"leaves {name} at {number(before)}{why}"
    if not math.isfinite(after):
        return f"takes {name} out of the range of float64"
    return f"takes {name} {_change(before, after)}"


def _change(before: float, after: float) -> str:
    if before == after:
        return f"stays {number(before)}"
    return "from {} to {}".format(*told_apart(before, after))
