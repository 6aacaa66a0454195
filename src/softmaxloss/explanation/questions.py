"""What people ask about the loss of one example, each question answered with its own numbers.

An answer is a general one, true of every example, and after it what is seen in this example: that
part comes from `replies.py`. All of it is plain text; loads NumPy alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import OptionError
from . import replies
from .explanation import Explanation

__all__ = ["QUESTIONS", "Answer", "Question", "answers", "ask"]


@dataclass(frozen=True)
class Question:
    """A question about the loss of one example.

    id       a short name that stays the same: "only-true-class"
    title    the question as a learner asks it
    answer   the answer for an explanation: paragraphs of plain text, "\\n\\n" between them
    """

    id: str
    title: str
    answer: Callable[[Explanation], str]


@dataclass(frozen=True)
class Answer:
    """A question's `id` and `title`, and the answer for one example as plain text.

    Paragraphs are separated by an empty line. A line that starts with three spaces is code.
    """

    id: str
    title: str
    text: str


def answers(explanation: Explanation) -> list[Answer]:
    """Every question, in the order of `QUESTIONS`, answered for this example.

    >>> from softmaxloss import explain
    >>> len(answers(explain([2.0, 1.0, 0.1, -1.2], 2))) == len(QUESTIONS)
    True
    """
    return [ask(explanation, id) for id in QUESTIONS]


def ask(explanation: Explanation, id: str) -> Answer:
    """The answer to one question. Raises `OptionError` where there is no question of this id.

    >>> from softmaxloss import explain
    >>> answer = ask(explain([2.0, 1.0, 0.1, -1.2], 2), "gradient-sign")
    >>> print(answer.title)
    Why is ∂J/∂z_y never positive?
    >>> print(answer.text.split("\\n\\n")[1].split(", and")[0])
    Here ∂J/∂z_2 = a_2 − 1 = 0.0960 − 1 = -0.9040
    """
    if not isinstance(id, str) or id not in QUESTIONS:
        near = difflib.get_close_matches(str(id), QUESTIONS, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(QUESTIONS)}"
        raise OptionError(f"there is no question {str(id)[:40]!r}: {hint}")
    question = QUESTIONS[id]
    return Answer(question.id, question.title, question.answer(explanation))


def _question(
    id: str, title: str, general: str, here: Callable[[replies.Example], str]
) -> Question:
    """A question from its general answer and the function that says what is seen in an example."""

    def answer(e: Explanation) -> str:
        if not e.defined:
            return f"This row has no softmax. {e.remarks()[0]}\n\n{general}"
        if e.terms.size == 1:
            return (
                f"{general}\n\nHere there is one class: its probability is 1, the loss 0 and the "
                "derivative 0, whatever the output is. Nothing can be learned."
            )
        return f"{general}\n\n{here(replies.Example(e))}"

    return Question(id, title, answer)


_ALL = [
    _question(
        "only-true-class",
        "Does the loss count only the true class?",
        "Yes, the loss is one term, J = −log a_y, and nothing is added for the other classes. But "
        "each of them counts, because it is in the denominator of a_y = exp z_y / Σ exp z.",
        replies.only_true_class,
    ),
    _question(
        "others-learn",
        "How do the other outputs learn, if only −log a_y is counted?",
        "Through the denominator. Each other class n has a derivative of its own, ∂J/∂z_n = a_n, "
        "and as it is not negative, descent pushes that output down, by step · a_n.",
        replies.others_learn,
    ),
    _question(
        "gradient-sign",
        "Why is ∂J/∂z_y never positive?",
        "Because ∂J/∂z_y = a_y − 1, and no probability is above 1. Descent goes against the "
        "derivative, so it pushes the true output up; only when a_y is 1 is there nothing to push.",
        replies.gradient_sign,
    ),
    _question(
        "derivatives-sum",
        "Do the derivatives sum to one?",
        "No, to zero. The probabilities sum to 1, and the derivatives are the same numbers but for "
        "the true class, where 1 is taken off: the true output is pulled up as hard as all the "
        "others together are pushed down.",
        replies.derivatives_sum,
    ),
    _question(
        "step-size",
        "Is a step of α · (1 − a_y) too small to matter?",
        "No: a step of size α lowers J by about α · Σ (∂J/∂z_n)², and never by more. That is close "
        "for a small step, and small steps add up.",
        replies.step_size,
    ),
    _question(
        "order",
        "Does the denominator change the order of the classes?",
        "No: exp grows with z, and every class is divided by the same Σ exp z. So the "
        "probabilities have the order of the outputs z, and to predict the likeliest class the "
        "largest z is enough, without softmax.",
        replies.order,
    ),
    _question(
        "several-labels",
        "What if one example has several labels?",
        "Softmax is for classes that exclude each other, so here several labels are an error, "
        'unless you say what they mean: multi_label="sum" adds their losses, as PyTorch and '
        'TensorFlow do, and "mean" averages them. Descent with two labels ends at a = 1/2 for '
        "each, not at 1. Where several classes can be true at once, take a sigmoid for each.",
        replies.several_labels,
    ),
    _question(
        "zero-or-one-based",
        "Do the labels count from zero or from one?",
        "PyTorch and TensorFlow count from 0, scikit-learn sorts the labels that you have, and "
        "softmaxloss counts from 0 unless you say first_class=1. A label that is off by one "
        "can be noticed at the end of the range only; anywhere else it is the label of another "
        "class, and no error is raised.",
        replies.zero_or_one_based,
    ),
    _question(
        "index-or-one-hot",
        "Is the label an index or one-hot?",
        "Both give the same number: in Σ −onehot_n · log a_n only the true class has a factor of "
        "1, and a term with a factor of 0 is left out. An index is one integer where one-hot takes "
        "C numbers; Keras calls the loss sparse_categorical_crossentropy with an index and "
        "categorical_crossentropy with one-hot.",
        replies.index_or_one_hot,
    ),
    _question(
        "softmax-or-sigmoid",
        "Softmax or sigmoid?",
        "Softmax where exactly one class is true: the probabilities sum to 1. A sigmoid for each "
        "output where each is a yes or no of its own. And never one of them before a loss that "
        "takes logits, as this one does: it would be applied twice.",
        replies.softmax_or_sigmoid,
    ),
    _question(
        "same-as-frameworks",
        "Is this the number that PyTorch, TensorFlow and scikit-learn give?",
        "Yes: all of them compute J = −log a_y with the natural logarithm; only their rounding "
        "differs.",
        replies.same_as_frameworks,
    ),
    _question(
        "good-loss",
        "Is this a good loss?",
        "exp(−J) is the probability that the true class got, so compare J with ln C, the loss of a "
        "uniform guess. Below ln 2 that probability is above 1/2, and the prediction is right. For "
        "a data set, exp(−mean loss) is the geometric mean of these probabilities.",
        replies.good_loss,
    ),
    _question(
        "logits",
        "What are logits?",
        "The outputs z before softmax: scores of any size and sign. Only their differences matter, "
        "for a_y / a_n = exp(z_y − z_n); adding 10 to all of them changes no probability. They are "
        "the log-probabilities up to a constant: log a_n = z_n − log Σ exp z.",
        replies.logits,
    ),
    _question(
        "subtract-max",
        "Why is the maximum subtracted before exp?",
        "Because exp z overflows, above z = 709.78 in float64 and above 88.72 in float32, and "
        "inf / inf is NaN. With m the largest z, exp(z_n − m) is at most 1; the probabilities stay "
        "what they are, for exp m is divided out again.",
        replies.subtract_max,
    ),
    _question(
        "minus-infinity",
        "What if the output of the true class is −inf?",
        "Then, as long as another output is finite, a_y is 0 and J is +inf, while the gradient "
        "stays finite: −1 for the true class, a_n for the others. No step moves an output away "
        "from −inf. On another class −inf is a mask, and harmless: J is what it would be without "
        "that class.",
        replies.minus_infinity,
    ),
]

#: Every question by its id, in the order in which a learner asks them.
QUESTIONS: dict[str, Question] = {question.id: question for question in _ALL}
