"""The questions on a page. Their answers follow the numbers.

An answer says what is true of every example, then what is seen in the given one. When the numbers
have been changed, a sentence about the new ones takes the place of the latter: `LIVE` has it for
each question. In braces are marks that parts.py explains: {a:y} is a number, {@y} the name of a
class, {_y} its index in a formula.
"""

import re

from ...text import as_html
from ..questions import SUBJECTS
from ..questions.question import Question
from ..rendering.html import paragraph, section
from .parts import Parts, value
from .scenes import wrong_ones

_RAISED = (
    "Now ∂J/∂z{_y} = {plain-grad:y}, and a step of {step} takes the output of {@y} from {z:y} to "
    "{z1:y}."
)
_STRONGEST = (
    "{@faller}, the strongest of the others: ∂J/∂z{_faller} = {plain-grad:faller}, and a step of "
    "{step} takes its output from {z:faller} to {z1:faller}."
)

LIVE = {
    "which-is-raised": f"{_RAISED} The largest push down is on {_STRONGEST}",
    "gradient": "Now ∂J/∂z{_y} is {plain-grad:y}, and ∂J/∂z{_faller} is {plain-grad:faller}.",
    "others-learn": f"Now the push on {_STRONGEST}",
    "derivative-by-a": "Now ∂J/∂a{_y} = {inv:y}, and for {@faller} ∂a{_y}/∂z{_faller} = "
    "{jac:faller}. Their product is ∂J/∂z{_faller} = {plain-grad:faller}.",
    "gradient-sign": _RAISED,
    "derivatives-sum": "Now the derivative of {@y}, the true class, is {plain-grad:y}, and the "
    "rest adds up to {others}: together 0.",
    "step-size": "Now a step of {step} takes a{_y} from {a:y} to {a1:y}, and J from {J} to {J1}.",
    "weights-not-outputs": "Now a step of {step} on z itself changes z{_y} by {moved}. On the "
    "weights, if ‖x‖² is 4, it changes it by 4 times as much, {moved-4}.",
    "reach-one": "Now a{_y} is {a:y}.",
    "jacobian": "Now the entries of its row for {@y} are {jac:y} for {@y} itself, {jac:faller} "
    "for {@faller}.",
    "second-derivative": "Now ∂²J/∂z{_y}² is {jac:y}, and ∂²J/∂z{_y}∂z{_faller} is {jac:faller}.",
    "cross-entropy-loss": "Now J = −log a{_y} = {J}.",
    "only-true-class": "Now J = −log a{_y} = {J}. The other classes hold {others-percent} of the "
    "probability.",
    "good-loss": "Now J = {J}, and ln C, the loss of a uniform guess, is {lnC}. The true class has "
    "the probability {a:y}. The prediction is {@top}.",
    "range-of-loss": "Now a{_y} = {a:y}, and J = {J}.",
    "why-log": "Now J = {J}. To base 2 it would be {bits}, to base 10 {log10}.",
    "nat": "Now J is {J} nats, or {bits} bits.",
    "squared-error": "Now the derivative with respect to z{_y} is {plain-grad:y} with −log a{_y}, "
    "and {squared} with the squared error.",
    "mean-or-sum": "Now this example adds {J} to the sum over a batch of 32, and {J-32} to the "
    "mean.",
    "negative-log-likelihood": "Now a{_y} = {a:y}, log a{_y} = {minus-J}, and J = {J}.",
    "entropy-and-kl": "Now the loss and the KL divergence are {J}, and the entropy of a is "
    "{entropy}, of at most {lnC}.",
    "perplexity": "Now it is exp J = {perplexity}.",
    "what-is-softmax": "Now a{_y} is {a:y}, and a{_faller} is {a:faller}.",
    "logits": "Now {@y} is {odds} times as likely as {@faller}, and log a{_y} = {minus-J}, which "
    "is −J.",
    "why-exp": "Now exp(z − m) goes from {exp-least} to 1.",
    "exp-minus-z": "Now, with exp(−z), a{_y} would be {a-minus}, not {a:y}.",
    "always-positive": "Now the smallest probability is {a-least}.",
    "order": "Now the largest output is that of {@top}, {z:top}, which has the largest "
    "probability, {a:top}. The true class, {@y}, has rank {rank} in z, and so in a.",
    "softmax-or-sigmoid": "Now the sigmoids of the outputs sum to {sigmoids}, the softmax to 1.",
    "two-classes": "Now, if there were only {@y} and {@faller}, the true one would have the "
    "sigmoid of their difference, {a-of-two}.",
    "temperature": "Now J is {J}; with T twice as large it would be {J-warm}, and a{_y} "
    "{a-warm}, not {a:y}.",
    "zero-or-one-based": "Now {@y} is output {place} of {classes}.",
    "label-out-of-range": "Now there are {classes}. A label that is none of them is an error.",
    "index-or-one-hot": "Now {@y} is the true class. With its index or one-hot, J is {J}.",
    "several-labels": "Now, with {@faller} as a second label, J would be {J-two} with “sum”, and "
    "{J-two-mean} with “mean”.",
    "ignore-index": "Now the label is {@y}, so the row counts, with J = {J}.",
    "softmax-twice": "Now J would be {J-twice}, not {J}. It cannot get below {J-twice-least}.",
    "loss-and-accuracy": "Now J is {J}. If every output were twice as large, the prediction would "
    "be the same, and J would be {J-doubled}.",
    "class-weights": "Now a weight of 5 for {@y} makes the loss {J-5}, not {J}.",
    "label-smoothing": "Now the loss is {J-smooth} with ε = 0.1, and {J} without smoothing.",
    "same-as-frameworks": "Now J is {J}, in all of them.",
    "subtract-max": "Now m = {m}, and exp(z − m) goes from {exp-least} to 1.",
    "nan": "Now J is {J}. The largest output is {z:top}.",
    "minus-infinity": "Now z{_y} = {z:y}, and J is {J}.",
}


def live(page: Parts, sentence: str) -> str:
    """A sentence with its marks as elements, which the script fills in."""

    def element(mark: re.Match[str]) -> str:
        kind, what, n = mark.groups()
        if kind:
            return page.name(what) if kind == "@" else page.sub(what)
        return value(what, "", n)

    return re.sub(r"\{([@_]?)([\w-]+)(?::(\w+))?\}", element, sentence)


def questions(page: Parts) -> str:
    parts = []
    for subject, asked in SUBJECTS.items():
        parts.append(f"<h3>{as_html(subject)}</h3>")
        parts += (
            f'<details data-ask="{q.id}"><summary>{as_html(q.title)}</summary>'
            f"{_answer(page, q)}</details>"
            for q in asked
        )
    return section("Questions", "".join(parts), "given questions")


def _answer(page: Parts, q: Question) -> str:
    def paragraphs(words: str) -> str:
        return "".join(map(paragraph, words.strip().split("\n\n"))) if words else ""

    text, general = q.answer(page.e).text, q.general
    if not page.controlled:
        return paragraphs(text)
    here = paragraphs(text.replace(general, "", 1))
    sentence = wrong_ones(page) if q.id == "others-fall" else live(page, LIVE.get(q.id, ""))
    if not sentence:
        return f"{paragraphs(general)}{page.given('What follows is')}{here}"
    now = page.when("live", sentence, tag="p")
    none = page.when("no-live", "The outputs now have no softmax.", tag="p")
    return f"{paragraphs(general)}{page.when('unchanged', here, tag='div')}{now}{none}"
