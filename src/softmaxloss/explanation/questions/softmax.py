"""Questions about softmax: from the outputs to the probabilities."""

import math

import numpy as np
from numpy.typing import NDArray

from ... import formula
from ...api import cross_entropy
from ..one_words import share_formula
from ..rendering.numbers import number, told_apart, worked
from .question import Example, question

T = 2.0  # the temperature that is shown


@question(
    "What is softmax?",
    "It turns the outputs into probabilities, a_n = exp z_n / Σ exp z: each is positive, all "
    "together are 1, and the largest output gets the largest probability.",
    "what does the softmax function do",
    "why is softmax used",
    "why do we need softmax",
    "formula of softmax",
    "definition of the softmax function",
    "how is softmax computed",
    "how do outputs become probabilities",
    "what is the softmax layer for",
)
def what_is_softmax(x: Example) -> str:
    m = number(float(x.z.max()))
    return f"Here {share_formula(x.e)}, with m = {m} the largest z, which cancels."


@question(
    "What are logits?",
    "The outputs z before softmax: numbers of any size and sign, not probabilities. Only their "
    "differences matter, because a_y / a_n = exp(z_y − z_n).",
    "what does logit mean",
    "are the logits probabilities",
    "raw scores before softmax",
    "why are the outputs of my network negative",
    "what are the outputs of the last linear layer called",
    "my outputs are larger than 1, are they probabilities",
    "unnormalised scores",
    "logit and log-odds",
    "logits in pytorch",
)
def logits(x: Example) -> str:
    i, k = x.i, x.k
    if x.impossible:
        return f"Here z_{i} is −inf: the log of a probability that is 0."
    if x.alone:
        return f"Here all outputs but z_{i} are −inf, the log of a probability that is 0."
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
    return f"{text}. And z_{i} − log Σ exp z = log a_{i} = {number(-x.J)}, which is −J."


@question(
    "Why exp?",
    "Outputs may be negative, and probabilities may not: exp makes every output positive and "
    "keeps their order. It also turns differences into ratios: a class whose output is larger "
    "by 1 is e = 2.7183 times as likely.",
    "why is the exponential used in softmax",
    "why not divide each output by the sum of the outputs",
    "why e to the power of z",
    "why not normalise linearly",
    "why do we exponentiate",
    "why not just z / sum(z)",
    "what is special about e",
    "reason for the exponential function in softmax",
)
def why_exp(x: Example) -> str:
    low, high = float(x.z.min()), float(x.z.max())
    least = number(float(x.e.exponentials.min()))
    return (
        f"Here z goes from {number(low)} to {number(high)}, and exp(z − m), with m = "
        f"{number(high)} the largest z, from {least} to 1."
    )


@question(
    "Why exp(z), and not exp(−z) as in a sigmoid?",
    "It is the same exp. The sigmoid 1 / (1 + exp(−z)) is exp z / (exp z + 1), the softmax of the "
    "two outputs z and 0: its minus comes from dividing by exp z. With exp(−z) in a softmax, the "
    "largest output would get the smallest probability.",
    "the sigmoid has a minus in the exponent, why not softmax",
    "e^z or e^-z",
    "sign of the exponent in softmax",
    "logistic function has e^-x and softmax e^x",
    "is a minus missing in softmax",
)
def exp_minus_z(x: Example) -> str:
    if (x.z == -math.inf).any():
        return "Here exp(−z) would be inf where z is −inf: what is masked out would win."
    wrong = formula.softmax(-x.z)
    n = int(np.argmax(wrong))
    text = f"Here, with exp(−z), {x.name(n)}, whose output is the smallest, would be predicted; "
    shown = told_apart(float(wrong[x.y]), float(x.a[x.y]))
    if shown[0] == shown[1]:
        return f"{text}a_{x.i} would be {shown[0]} as well."
    return f"{text}a_{x.i} would be {shown[0]}, not {shown[1]}."


@question(
    "Why is a_n always positive?",
    "exp of every number is above 0, and a_n = exp z_n / Σ exp z is one positive number divided by "
    "a larger one. So ∂J/∂z_n = a_n is positive for every wrong class. Only an output of −inf has "
    "the probability 0.",
    "can a probability of softmax be 0",
    "why are softmax outputs never negative",
    "why is the derivative of the other classes positive",
    "are softmax values between 0 and 1",
    "is softmax greater than zero",
    "why is the gradient of the wrong logits always > 0",
    "can softmax output exactly zero",
    "is a_n ever negative",
)
def always_positive(x: Example) -> str:
    others: NDArray[np.float64] = np.where(np.arange(x.count) == x.y, math.inf, x.a)
    n = int(np.argmin(others))
    i = x.e.number(n)
    if x.z[n] == -math.inf:
        return f"Here z_{i} is −inf: a_{i} is 0, and nothing pushes {x.name(n)}."
    if x.a[n] == 0:
        return f"Here a_{i} is too small for float64 and is rounded to 0."
    return (
        f"Here the smallest for a wrong class is a_{i} = {number(float(x.a[n]))}: a step of "
        f"{x.e.step:g} {x.moves(n)}."
    )


@question(
    "Does the denominator change the order of the classes?",
    "No: exp grows with z, and every class is divided by the same Σ exp z. To predict a class, "
    "take the largest z; softmax is not needed.",
    "do I need softmax to predict",
    "softmax or argmax at inference",
    "does softmax change the prediction",
    "is the largest output also the largest probability",
    "does the ranking stay the same after softmax",
    "can I skip softmax when predicting",
    "is softmax monotonic",
    "is argmax of the logits the same",
)
def order(x: Example) -> str:
    e = x.e
    assert e.predicted is not None
    p, count = e.predicted, x.count
    tied = int((x.z == x.z[p]).sum())
    shared = "" if tied == 1 else f" (shared by {tied} classes: the first of them is taken)"
    text = (
        f"Here the largest output is z_{e.number(p)} = {number(x.z[p])}{shared}, and {x.name(p)} "
        f"is predicted, with probability {number(x.a[p])}. "
    )
    if p == x.y:
        return f"{text}That is the true class."
    return f"{text}The true class, {x.name(x.y)}, has rank {e.rank} of {count} in z, and so in a."


@question(
    "Softmax, or a sigmoid for each output?",
    "Softmax where exactly one class is true: the probabilities sum to 1. A sigmoid for each "
    "output where each is a separate yes-or-no question, as when an image has several tags.",
    "sigmoid or softmax in the last layer",
    "activation function for multi-label classification",
    "when to use a sigmoid",
    "several labels can be true at once, softmax or sigmoid",
    "which activation for the output layer",
    "why use a sigmoid for tags",
)
def softmax_or_sigmoid(x: Example) -> str:
    total = math.fsum(np.exp(-np.logaddexp(0.0, -x.z)))
    return f"Here the sigmoids of the outputs sum to {number(total)}, the softmax to 1."


@question(
    "With two classes: softmax, or one sigmoid?",
    "They are the same function. The softmax of two outputs is the sigmoid of their difference, so "
    "a network with one output and the binary cross-entropy can learn the same.",
    "binary classification with one or two outputs",
    "is softmax with two classes a sigmoid",
    "binary cross-entropy or categorical cross-entropy",
    "BCE with logits",
    "cat or dog: one output or two",
    "is the sigmoid a special case of softmax",
    "one output unit for two classes",
    "logistic regression and softmax",
)
def two_classes(x: Example) -> str:
    i, k = x.i, x.k
    if x.impossible or x.alone:
        return f"Here z_{i} − z_{k} is not finite, and the sigmoid is exactly 0 or 1."
    with np.errstate(over="ignore"):
        difference = float(x.z[x.y] - x.z[x.r])
    if not math.isfinite(difference):
        return f"Here z_{i} − z_{k} is beyond float64."
    value = float(np.exp(-np.logaddexp(0.0, -difference)))
    shown = worked("sigmoid({})", _sigmoid, [difference], value)
    if x.count == 2:
        return f"Here a_{i} = sigmoid(z_{i} − z_{k}) = {shown}."
    return (
        f"Here there are {x.count} classes. If there were only {x.name(x.y)} and {x.name(x.r)}, "
        f"the true one would have sigmoid(z_{i} − z_{k}) = {shown}."
    )


@question(
    "My network is too sure of itself: what does a temperature do?",
    "It divides the outputs: a = softmax(z / T). T above 1 makes the probabilities more alike, "
    "and the prediction stays; T is chosen after training, where the mean loss on validation "
    "data is least.",
    "overconfident predictions",
    "calibration of the probabilities",
    "temperature scaling",
    "softmax temperature",
    "the probabilities are all near 0 or 1",
    "make the model less certain",
    "what does dividing the logits by T do",
    "are softmax outputs real probabilities",
    "too confident predictions",
    "the model gives 99 % for everything",
)
def temperature(x: Example) -> str:
    assert x.e.predicted is not None
    p = x.e.predicted
    a = told_apart(float(x.a[p]), float(formula.softmax(x.z / T)[p]))
    J = told_apart(x.J, float(cross_entropy(x.z / T, x.y)))
    changed = "the same" if a[0] == a[1] else f"{a[1]}, not {a[0]}"
    return (
        f"Here, with T = {T:g}, the predicted {x.name(p)} would have the probability {changed}; J "
        f"would be {J[1]}, not {J[0]}."
        if J[0] != J[1]
        else f"Here T = {T:g} would leave J at {J[0]}; the predicted {x.name(p)} would have the "
        f"probability {a[1]}."
    )


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
