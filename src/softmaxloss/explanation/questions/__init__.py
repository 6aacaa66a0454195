"""What people ask about the loss of one example: questions, answered with its own numbers.

A question is a function in the module of its subject, which says what is seen in an example. Beside
it stand its title, the general answer, which is true of every example, and other ways to ask it,
by which finding.py finds it. All of it is plain text; loads NumPy alone.
"""

from functools import cache

from ...errors import OptionError
from ...text import shorten
from ..one_data import ExampleData
from . import computing, descent, labels, loss, softmax, training
from .finding import Index
from .question import Answer, Question

__all__ = ["QUESTIONS", "SUBJECTS", "Answer", "Question", "answers", "ask", "find"]

#: The questions of each subject, in the order in which a learner asks them.
SUBJECTS: dict[str, tuple[Question, ...]] = {
    "Which output is raised": (
        descent.which_is_raised,
        descent.gradient,
        descent.others_learn,
        descent.derivative_by_a,
        descent.gradient_sign,
        descent.derivatives_sum,
        descent.others_fall,
        descent.step_size,
        descent.weights_not_outputs,
        descent.reach_one,
        descent.jacobian,
        descent.second_derivative,
    ),
    "The loss": (
        loss.cross_entropy_loss,
        loss.only_true_class,
        loss.good_loss,
        loss.range_of_loss,
        loss.why_log,
        loss.nat,
        loss.squared_error,
        loss.mean_or_sum,
        loss.negative_log_likelihood,
        loss.entropy_and_kl,
        loss.perplexity,
    ),
    "Softmax": (
        softmax.what_is_softmax,
        softmax.logits,
        softmax.why_exp,
        softmax.exp_minus_z,
        softmax.always_positive,
        softmax.order,
        softmax.softmax_or_sigmoid,
        softmax.two_classes,
        softmax.temperature,
    ),
    "The label": (
        labels.zero_or_one_based,
        labels.index_or_one_hot,
        labels.several_labels,
        labels.label_out_of_range,
        labels.ignore_index,
    ),
    "Training": (
        training.softmax_twice,
        training.loss_and_accuracy,
        training.class_weights,
        training.label_smoothing,
    ),
    "Floating point and libraries": (
        computing.same_as_frameworks,
        computing.subtract_max,
        computing.nan,
        computing.minus_infinity,
    ),
}

#: Every question by its id, in the order of the subjects.
QUESTIONS: dict[str, Question] = {
    question.id: question for questions in SUBJECTS.values() for question in questions
}


@cache
def _index() -> Index:
    return Index(QUESTIONS.values())


def answers(e: ExampleData) -> list[Answer]:
    """Every question, in the order of `QUESTIONS`, answered for this example."""
    return [question.answer(e) for question in QUESTIONS.values()]


def ask(e: ExampleData, words: str) -> Answer:
    """The answer to one question, by its id or in words.

    Raises:
        OptionError: no question is like these words, or several are; names the nearest.

    >>> from softmaxloss import explain
    >>> why = explain([2.0, 1.0, 0.1, -1.2], 2)
    >>> ask(why, "gradient-sign").title
    'Why is ∂J/∂z_y never positive?'
    >>> ask(why, "how does it know which output to raise").title
    'How does the network know which output to raise?'
    """
    return find(words).answer(e)


def find(words: str) -> Question:
    """The question that has this id or is asked with these words. Raises as `ask`."""
    if not isinstance(words, str):
        raise OptionError(f"a question is text, got {shorten(repr(words), 40)}")
    if words in QUESTIONS:
        return QUESTIONS[words]
    found, near = _index().search(words)
    if found is not None:
        return found
    nearest = "; ".join(f"{question.title} ({question.id})" for question in near)
    hint = "softmaxloss.explanation.QUESTIONS has all of them, --ask list shows their titles"
    if near:
        hint = f"the nearest are: {nearest}"
    raise OptionError(f"no question is quite like '{shorten(words, 60)}'; {hint}")
