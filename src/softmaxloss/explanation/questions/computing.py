"""Questions about floating point, and about other libraries."""

import math

import numpy as np

from ...api import cross_entropy
from ..data import SHOWN
from ..rendering.numbers import number
from .question import Example, question

OVERFLOW16, OVERFLOW32, OVERFLOW = (  # exp of more is inf: 11.09, 88.72, 709.78
    math.log(np.finfo(dtype).max) for dtype in (np.float16, np.float32, np.float64)
)
UNDERFLOW = -745.14  # exp of less is 0 in float64
EPSILON = float(np.finfo(np.float64).eps)  # scikit-learn clips probabilities to at least this


@question(
    "Is this the number that PyTorch, TensorFlow and scikit-learn give?",
    "Yes: all of them compute J = −log a_y with the natural logarithm; only their rounding "
    "differs.",
    "compare with pytorch",
    "does tensorflow return the same loss",
    "how do I check the result",
    "same loss in keras and scipy",
    "is it identical to log_loss of sklearn",
    "what does F.cross_entropy return",
    "the same number in pytorch",
)
def same_as_frameworks(x: Example) -> str:
    """The calls, one per line; they count classes from 0, however the caller counts."""
    y, count, J = x.y, x.count, x.J
    row = [repr(float(z)) if np.isfinite(z) else 'float("-inf")' for z in x.z[:SHOWN]]
    given = f"[{', '.join(row)}], {y}" if count <= SHOWN else f"logits, {y}  # all {count} logits"
    calls = [
        f"z, y = {given}",
        "softmaxloss.cross_entropy(z, y)",
        "torch.nn.functional.cross_entropy(torch.tensor(z), torch.tensor(y))",
        "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)",
        "-scipy.special.log_softmax(z)[y]",
    ]
    notes = []
    if x.a[y] >= EPSILON:
        calls.append(
            "sklearn.metrics.log_loss([y], [scipy.special.softmax(z)], labels=range(len(z)))"
        )
    else:
        notes.append(
            f"scikit-learn's log_loss takes probabilities and clips a_{x.i} to 2.2e-16: it would "
            "return 36.0437."
        )
    if 0 < J < 1e-3:
        notes.append(
            "Only softmaxloss keeps such a small loss: the others are off by about 1e-7 in "
            "float32, where they may return 0, and by about 1e-16 in float64."
        )
    else:
        with np.errstate(over="ignore"):
            single = float(cross_entropy(x.z.astype(np.float32), y))
        if not math.isclose(single, J, rel_tol=1e-3):
            notes.append(
                "PyTorch and TensorFlow convert these numbers to float32, which changes them: pass "
                "dtype=torch.float64 and tf.constant(z, tf.float64)."
            )
    said = f"Here J is {number(J)}{'; y counts from 0' if x.e.first_class else ''}:"
    code = "\n".join(f"   {call}" for call in calls)
    return "\n\n".join([said, code, *([" ".join(notes)] if notes else [])])


@question(
    "Why is the maximum subtracted before exp?",
    "Because exp z overflows, above z = 709.78 in float64 and above 88.72 in float32, and inf / "
    "inf is NaN. With m the largest z, exp(z_n − m) is at most 1, and exp m cancels in a.",
    "log-sum-exp trick",
    "numerically stable softmax",
    "why subtract the largest logit",
    "what is m in exp(z − m)",
    "why z − max(z)",
    "how to avoid overflow in softmax",
    "stable implementation of softmax",
    "softmax of large numbers",
)
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


@question(
    "Why is the loss NaN?",
    "Mostly because exp overflows to inf, and inf / inf is NaN; or because of 0 · log 0. "
    "Compute the loss from the logits, with their maximum subtracted; if the logits are NaN "
    "already, look at the learning rate and the data.",
    "my loss becomes nan",
    "overflow encountered in exp",
    "invalid value encountered in divide",
    "nan during training",
    "log(0) or division by zero",
    "loss: nan",
    "nan after softmax",
    "divide by zero in log",
)
def nan(x: Example) -> str:
    m = x.e.largest
    limits = {"float16": OVERFLOW16, "float32": OVERFLOW32, "float64": OVERFLOW}
    over = [name for name, limit in limits.items() if m > limit]
    text = f"Here J is {number(x.J)}. The largest output is {number(m)}"
    if over:
        return f"{text}, and exp of it overflows in {' and '.join(over)}."
    return f"{text}; exp overflows above 11.09 in float16 and above 88.72 in float32."


@question(
    "What if the output of the true class is −inf?",
    "Then, as long as another output is finite, a_y is 0 and J is inf, while the gradient "
    "stays finite: −1 for the true class, a_n for the others. No step moves an output away "
    "from −inf. On another class, −inf is a harmless mask: J is the same as without that class.",
    "mask classes with −inf",
    "infinite loss",
    "my loss is inf",
    "logit of minus infinity",
    "the loss is infinite",
    "set logits to −inf",
    "the true class has the probability 0",
    "masked softmax",
)
def minus_infinity(x: Example) -> str:
    i = x.i
    masked, value = int((x.z == -math.inf).sum()), number(x.z[x.y])
    if x.impossible:
        return (
            f"That is the case here: z_{i} is −inf, a_{i} is 0, J is inf and ∂J/∂z_{i} is −1. "
            "Look for a mask that hides the label."
        )
    if math.isinf(x.J):
        return f"Here z_{i} = {value} is finite; J is inf only because float64 ends at 1.8e+308."
    classes = {0: "no class is", 1: "1 other class is"}.get(masked, f"{masked} other classes are")
    return f"Here z_{i} = {value} is finite, {classes} masked out, and J is {number(x.J)}."
