"""What people ask about the loss of one example: questions, answered with its own numbers.

Each entry below is one question: its title, its general answer, which is true of every example, and
a function, named by the question's id, that says what is seen in an example that has a softmax and
at least two classes. No formula has rounded numbers on both sides that could contradict each other:
sums and products stay letters. All of it is plain text; loads NumPy alone.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..api import cross_entropy
from ..errors import OptionError
from ..text import shorten
from .data import SHOWN
from .one_data import ExampleData
from .one_words import loss_formula, remarks, slope_formula
from .rendering.names import in_sentence
from .rendering.numbers import compared, number, told_apart

NAMED = 6  # classes; of more, a sentence names only the strongest
OVERFLOW = math.log(np.finfo(np.float64).max)  # 709.78: exp of more is inf
OVERFLOW32 = math.log(np.finfo(np.float32).max)  # 88.72
UNDERFLOW = -745.14  # exp of less is 0 in float64
EPSILON = float(np.finfo(np.float64).eps)  # scikit-learn clips probabilities to at least this


@dataclass(frozen=True)
class Answer:
    """The answer to a question for one example.

    Attributes:
        id: the question's id.
        title: the question.
        text: plain text. Paragraphs are separated by an empty line; a line that starts with three
            spaces is code.
    """

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Question:
    """A question about the loss of one example.

    Attributes:
        id: a short name that never changes: "only-true-class".
        title: the question as a learner asks it.
        general: the answer that is true of every example.
        here: what is seen in an example with a softmax and at least two classes.
    """

    id: str
    title: str
    general: str
    here: Callable[[Example], str]

    def answer(self, e: ExampleData) -> str:
        """The answer for an explanation: paragraphs of plain text."""
        if not e.defined:
            return f"This row has no softmax. {remarks(e)[0]}\n\n{self.general}"
        if e.terms.size == 1:
            return (
                f"{self.general}\n\nHere there is one class: its probability is 1, the loss 0 and "
                "the derivative 0, whatever the output is. Nothing can be learned."
            )
        return f"{self.general}\n\n{self.here(Example(e))}"


#: Every question by its id, in the order in which a learner asks them.
QUESTIONS: dict[str, Question] = {}


def answers(e: ExampleData) -> list[Answer]:
    """Every question, in the order of `QUESTIONS`, answered for this example."""
    return [ask(e, id) for id in QUESTIONS]


def ask(e: ExampleData, id: str) -> Answer:
    """The answer to one question. Raises `OptionError` for an unknown id.

    >>> e = ExampleData.of(np.array([2.0, 1.0, 0.1, -1.2]), 2, step=0.1, steps=0)
    >>> answer = ask(e, "gradient-sign")
    >>> print(answer.title)
    Why is ∂J/∂z_y never positive?
    >>> print(answer.text.split("\\n\\n")[1].split(", and")[0])
    Here ∂J/∂z_2 = a_2 − 1 = 0.0960 − 1 = -0.9040
    """
    if not isinstance(id, str) or id not in QUESTIONS:
        near = difflib.get_close_matches(str(id), QUESTIONS, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(QUESTIONS)}"
        raise OptionError(f"there is no question '{shorten(str(id), 40)}': {hint}")
    question = QUESTIONS[id]
    return Answer(question.id, question.title, question.answer(e))


def _question(title: str, general: str) -> Callable[[Callable[[Example], str]], None]:
    """Make a question of a function that says what is seen in an example; its name is the id."""

    def register(here: Callable[[Example], str]) -> None:
        id = here.__name__.replace("_", "-")
        QUESTIONS[id] = Question(id, title, general, here)

    return register


class Example:
    """An explanation with short names for what the sentences speak of.

    y and r are the positions of the true class and of the strongest other, i and k their numbers
    in the caller's labels.
    """

    def __init__(self, e: ExampleData) -> None:
        self.e = e
        self.z, self.a, self.y = e.before.logits, e.before.probabilities, e.target
        r = int(np.argmax(np.delete(self.z, self.y)))
        self.r = r + (r >= self.y)
        self.i, self.k = e.number(self.y), e.number(self.r)
        self.impossible = self.z[self.y] == -math.inf
        self.alone = self.z[self.r] == -math.inf  # every other class is masked out

    def name(self, n: int) -> str:
        """The class in a sentence."""
        return f"class {in_sentence(self.e, n)}"

    def saturated(self) -> str:
        """Why every derivative is 0."""
        if self.alone:
            return f"every other class is masked out, so a_{self.i} is 1"
        return f"a_{self.i} is 1 as far as float64 can show"


def _losses(x: float, y: float) -> tuple[str, str]:
    """Two losses with as many decimals as it takes to tell them apart."""
    return (number(x), number(y)) if math.isinf(x) or math.isinf(y) else told_apart(x, y)


def _moves(x: Example, n: int) -> str:
    """What the step does to output n: "takes z_2 from 0.1000 to 0.1904"."""
    before, after = float(x.z[n]), float(x.e.after.logits[n])
    name = f"z_{x.e.number(n)}"
    if before == after:
        why = "" if before == -math.inf else ": the step is too small for float64 to show"
        return f"leaves {name} at {number(before)}{why}"
    if not math.isfinite(after):
        return f"takes {name} out of the range of float64"
    return f"takes {name} {_change(before, after)}"


def _change(before: float, after: float) -> str:
    if before == after:
        return f"stays {number(before)}"
    return "from {} to {}".format(*told_apart(before, after))


@_question(
    "Does the loss count only the true class?",
    "Yes, the loss is one term, J = −log a_y, and nothing is added for the other classes. But "
    "each of them counts, because it is in the denominator of a_y = exp z_y / Σ exp z.",
)
def only_true_class(x: Example) -> str:
    text = f"Here {loss_formula(x.e)}, one of {x.a.size} possible losses: "
    shown = list(range(x.a.size)) if x.a.size <= NAMED else sorted({x.y, x.r})
    text += ", ".join(f"{number(x.e.terms[n])} for {x.name(n)}" for n in shown)
    if x.a.size > NAMED:
        text += ", and so on"
    if x.alone:
        return f"{text}. No other class has a share of the denominator: each is masked out."
    share = -float(x.e.gradient[x.y])  # 1 − a_y without its rounding
    return f"{text}. The rest has {number(share)} of the denominator."


@_question(
    "How do the other outputs learn, if only −log a_y is counted?",
    "Through the denominator. The derivative of J with respect to the output of another class n "
    "is ∂J/∂z_n = a_n. It is never negative, so descent pushes that output down, by step · a_n.",
)
def others_learn(x: Example) -> str:
    if not x.e.gradient.any():
        return f"Here {x.saturated()}: every derivative is 0, and nothing is left to learn."
    k = x.k
    return (
        f"Here the strongest other is {x.name(x.r)}: ∂J/∂z_{k} = a_{k} = {number(x.a[x.r])}, and a "
        f"step of {x.e.step:g} {_moves(x, x.r)}."
    )


@_question(
    "Why is ∂J/∂z_y never positive?",
    "Because ∂J/∂z_y = a_y − 1, and no probability is above 1. Descent goes against the "
    "derivative, so it pushes the true output up, except when a_y is 1 and nothing is pushed.",
)
def gradient_sign(x: Example) -> str:
    if x.e.gradient[x.y] == 0:
        return f"Here {x.saturated()}: ∂J/∂z_{x.i} is 0, and nothing is pushed."
    return f"Here {slope_formula(x.e)}, and a step of {x.e.step:g} {_moves(x, x.y)}."


@_question(
    "Do the derivatives sum to one?",
    "No, to zero. The derivatives are the probabilities, which sum to 1, minus 1 for the true "
    "class: the true output is pulled up as hard as all the others together are pushed down.",
)
def derivatives_sum(x: Example) -> str:
    slope = float(x.e.gradient[x.y])
    if slope == 0:
        return f"Here {x.saturated()}: every derivative is 0, and so is their sum."
    # By definition the same number: printed from one value, so that both are rounded alike.
    return (
        f"Here the derivative of {x.name(x.y)}, the true one, is {number(slope)}, and the rest "
        f"adds up to {number(-slope)}: together 0."
    )


@_question(
    "Is a step of α · (1 − a_y) too small to matter?",
    "No: a step of size α lowers J by about α · Σ (∂J/∂z_n)², and never by more. That is close "
    "for a small step, and small steps add up.",
)
def step_size(x: Example) -> str:
    e, i = x.e, x.i
    if x.impossible:
        return (
            f"Here z_{i} is -inf, which no step changes: J stays +inf, however large the step is."
        )
    before, after = e.before.loss, e.after.loss
    if before == 0:
        return f"Here {x.saturated()}: J is 0, and no step is needed."
    if math.isinf(before):
        return f"Here J is too large for float64, and so is what a step of {e.step:g} would show."
    estimate = e.step * math.fsum(e.gradient**2)
    if not (math.isfinite(before - after) and math.isfinite(estimate)):
        return f"Here a step of {e.step:g} takes the outputs out of the range of float64."
    # Rounding of the outputs and of J, compared with the effect of the step.
    rounding = EPSILON * max(abs(x.z[x.y]), abs(x.z[x.r]))
    if -e.step * e.gradient[x.y] < 1e3 * rounding or before - after < 1e3 * EPSILON * before:
        return (
            f"Here a step of {e.step:g} is so small compared with these outputs that float64 shows "
            f"only rounding: J stays {number(before)}."
        )
    fall = min(before - after, estimate)  # it exceeds the bound only by rounding
    change = _change(x.a[x.y], e.after.probabilities[x.y])
    text = (
        f"Here a step of {e.step:g} {_moves(x, x.y)}, and a_{i} {change}. J falls by "
        f"{number(fall)}; the bound {e.step:g} · Σ (∂J/∂z_n)² is {number(estimate)}."
    )
    assert e.path is not None  # J is finite
    steps, reached = int(e.path.steps[-1]), float(e.path.target_probability[-1])
    if steps > 1 and math.isfinite(reached):
        text += f" After {steps} such steps a_{i} is {number(reached)}."
    return text


@_question(
    "Does the denominator change the order of the classes?",
    "No: exp grows with z, and every class is divided by the same Σ exp z. So the probabilities "
    "have the order of the outputs z. To predict a class, take the largest z: softmax is not "
    "needed.",
)
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


@_question(
    "What if one example has several labels?",
    "Softmax is for classes that exclude each other, so here several labels are an error, "
    'unless you say what they mean: multi_label="sum" adds their losses, as PyTorch and '
    'TensorFlow do, and "mean" averages them. Descent with two labels ends at a = 1/2 for '
    "each, not at 1. Where several classes can be true at once, use a sigmoid for each.",
)
def several_labels(x: Example) -> str:
    total = float(x.e.terms[x.y] + x.e.terms[x.r])
    why = " (a class that is masked out cannot be a label)" if x.alone or x.impossible else ""
    text = f"Here, with {x.name(x.r)} as a second label, J = −log a_{x.i} − log a_{x.k} = "
    if math.isinf(total):
        return f'{text}{number(total)} with "sum", and with "mean" too{why}.'
    return f'{text}{number(total)} with "sum", and half of it, {number(total / 2)}, with "mean".'


@_question(
    "Do the labels count from zero or from one?",
    "PyTorch and TensorFlow count from 0, scikit-learn sorts the labels that you have, and "
    "softmaxloss counts from 0 unless you say first_class=1. A label that is off by one raises an "
    "error only at the end of the range; anywhere else it is a valid label of another class.",
)
def zero_or_one_based(x: Example) -> str:
    e, i = x.e, x.i
    if e.first_class == 0:
        text, n, end = f"Here the label {i} counts from 0", x.y - 1, 1
    else:
        text, n, end = f"Here the label {i} counts from 1", x.y + 1, 0
    text += f": it is output {x.y + 1} of {x.z.size}. If it was meant to count from {end}, "
    if not 0 <= n < x.z.size:
        valid = f"{end} to {x.z.size - 1 + end}"
        return f"{text}it would not be a valid label: labels would go from {valid}."
    if e.terms[n] == e.before.loss:
        numbers = f"and the loss, by chance, {number(e.terms[n])} as well"
    else:
        other, J = _losses(float(e.terms[n]), e.before.loss)
        numbers = f"and the loss {other}, not {J}"
    return f"{text}the true class would be the one that is numbered {e.number(n)} here, {numbers}."


@_question(
    "Is the label an index or one-hot?",
    "Both give the same number: in Σ −onehot_n · log a_n only the true class has a factor of "
    "1, and terms with a factor of 0 are left out. An index is one integer, a one-hot row C "
    "numbers; Keras calls the loss sparse_categorical_crossentropy with an index and "
    "categorical_crossentropy with one-hot.",
)
def index_or_one_hot(x: Example) -> str:
    count, J = x.z.size, x.e.before.loss
    row = f"a one-hot row of {count} numbers: a 1 in place {x.y + 1}, and 0 in all the others"
    if count <= SHOWN:
        row = f"the one-hot row [{', '.join('01'[n == x.y] for n in range(count))}]"
    text = f"Here the index {x.i} stands for {row}. With either of them, J is {number(J)}"
    if (x.a == 0).any() and not x.impossible:
        text += "; 0 · log 0 would be NaN, so those terms must be left out, not multiplied"
    return f"{text}."


@_question(
    "Softmax or sigmoid?",
    "Softmax where exactly one class is true: the probabilities sum to 1. A sigmoid for each "
    "output where each is a separate yes-or-no question. Neither belongs before a loss that takes "
    "logits, as this one does: it would be applied twice.",
)
def softmax_or_sigmoid(x: Example) -> str:
    J, twice = x.e.before.loss, float(cross_entropy(x.a, x.y))
    total = math.fsum(np.exp(-np.logaddexp(0.0, -x.z)))
    text = f"Here the sigmoids of the outputs sum to {number(total)}, the softmax to 1. "
    if x.z.size == 2:
        text += (
            "With two classes, softmax is the sigmoid of the difference: "
            f"a_{x.i} = sigmoid(z_{x.i} − z_{x.k}) = {number(x.a[x.y])}. "
        )
    wrong, right = number(twice), number(J)
    if wrong == right:
        return f"{text}Softmax applied twice by mistake would not show here: J would be the same."
    return f"{text}Softmax applied twice by mistake would give J = {wrong}, not {right}."


@_question(
    "Is this the number that PyTorch, TensorFlow and scikit-learn give?",
    "Yes: all of them compute J = −log a_y with the natural logarithm; only their rounding "
    "differs.",
)
def same_as_frameworks(x: Example) -> str:
    """The calls, one per line; they count classes from 0, however the caller counts."""
    y, count, J = x.y, x.z.size, x.e.before.loss
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


@_question(
    "Is this a good loss?",
    "exp(−J) is the probability of the true class, so compare J with ln C, the loss of a uniform "
    "guess. Below ln 2 that probability is above 1/2, and the prediction is right. For "
    "a data set, exp(−mean loss) is the geometric mean of these probabilities.",
)
def good_loss(x: Example) -> str:
    e, J = x.e, x.e.before.loss
    uniform = e.uniform_loss
    beside = compared(J, uniform)
    shown = (number(J), number(uniform)) if beside == "equal to" else _losses(J, uniform)
    bits = "" if math.isinf(J) else f" ({number(e.bits)} bits)"
    assert e.predicted is not None
    verdict = "right" if e.predicted == x.y else "wrong"
    return (
        f"Here J = {shown[0]} nats{bits} is {beside} ln {e.choices} = {shown[1]}, and exp(−J) = "
        f"a_{x.i} = {number(x.a[x.y])}. The prediction is {x.name(e.predicted)}, and {verdict}."
    )


@_question(
    "What are logits?",
    "The outputs z before softmax: scores of any size and sign. Only their differences matter, "
    "for a_y / a_n = exp(z_y − z_n); adding 10 to all of them changes no probability. They are "
    "the log-probabilities up to a constant: log a_n = z_n − log Σ exp z.",
)
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


@_question(
    "Why is the maximum subtracted before exp?",
    "Because exp z overflows, above z = 709.78 in float64 and above 88.72 in float32, and "
    "inf / inf is NaN. With m the largest z, exp(z_n − m) is at most 1, and the probabilities "
    "are the same, because exp m cancels.",
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


@_question(
    "What if the output of the true class is −inf?",
    "Then, as long as another output is finite, a_y is 0 and J is +inf, while the gradient "
    "stays finite: −1 for the true class, a_n for the others. No step moves an output away "
    "from −inf. On another class, −inf is a harmless mask: J is the same as without that class.",
)
def minus_infinity(x: Example) -> str:
    i, J = x.i, x.e.before.loss
    masked, value = int((x.z == -math.inf).sum()), number(x.z[x.y])
    if x.impossible:
        return (
            f"That is the case here: z_{i} is -inf, a_{i} is 0, J is +inf and ∂J/∂z_{i} is -1. "
            "Look for a mask that hides the label."
        )
    if math.isinf(J):
        return f"Here z_{i} = {value} is finite; J is +inf only because float64 ends at 1.8e+308."
    classes = {0: "no class is", 1: "1 other class is"}.get(masked, f"{masked} other classes are")
    return f"Here z_{i} = {value} is finite, {classes} masked out, and J is {number(J)}."
