"""What a set of examples shows, in sentences: for its title, its text and its page."""

import math
from collections.abc import Iterator

import numpy as np

from ..text import plural
from ..totals import Example
from .rendering.names import in_sentence
from .rendering.numbers import fixed_percent, number, told_apart
from .set_data import SetData

SAME = 0.005  # confidence and accuracy that differ by less are called the same
LITTLE = 1e-3  # of the mean loss: a smaller gain is not worth a temperature


def finding(e: SetData) -> str:
    """The title: which class is most often taken for which other."""
    if not e.counts.any():
        return "No example has a loss" if e.examples else "No example counts"
    if e.counts.size == 1:
        return "With one class, every loss is 0"
    first = e.confusions.most(1)
    if not first:
        all_of = "The one example is" if e.examples == 1 else f"All {e.examples} examples are"
        return f"{all_of} predicted right"
    true, predicted, times, _ = first[0]
    if times == 1:
        return "No class is taken for another more than once"
    often = "most often" if int(np.count_nonzero(e.confusions.count == times)) == 1 else "often"
    return f"{in_sentence(e, true)} is {often} taken for {in_sentence(e, predicted)}"


def lead(e: SetData) -> Iterator[str]:
    """The whole set in sentences, and what the reader of the numbers must know first."""
    examples, classes = plural(e.examples, "example"), e.counts.size
    yield f"{examples}, {plural(classes, 'class')}, numbered from {e.first_class}."
    if e.examples:
        yield (
            f"Mean loss {number(e.mean_loss)} nats (a uniform guess: ln {classes} = "
            f"{number(e.uniform_loss)}), accuracy {fixed_percent(e.accuracy)}."
        )
    if e.top_k and e.examples:
        within = ", ".join(f"top-{k} {fixed_percent(share)}" for k, share in e.top_k.items())
        yield f"The label is among the largest logits: {within}."
    if e.soft and e.examples:
        yield (
            "The labels are probabilities q, and the loss of an example is Σ q_n·(−log a_n). Where "
            "one label is meant, it is the most probable class; for the pushes an example counts "
            "for every class by its probability."
        )
    if e.look_like_probabilities:
        yield (
            "No logit is negative and those of each row sum to 1, as probabilities do. If they are "
            "probabilities, pass from_probabilities=True (--probabilities): z = log a."
        )
    if e.ignored:
        yield f"{plural(e.ignored, 'row')} with the label to ignore left out."
    if e.invalid:
        yield (
            f"{plural(e.invalid, 'row')} without a softmax. A row with NaN, with +inf or with "
            "only −inf has no loss, so there is no mean loss. The numbers below leave such rows "
            "out; they are named at the end."
        )
    if classes == 1:
        yield "With one class, every loss is 0, and nothing is pushed."


def confused(e: SetData) -> str:
    """The pair that is confused most often, and the other way round."""
    first = e.confusions.most(1)
    if not first:
        return "None: the predicted class is the label of every example."
    true, predicted, times, share = first[0]
    pair = sorted((true, predicted))
    back = int(e.confusions.matrix(pair)[pair.index(predicted), pair.index(true)])
    i, n = in_sentence(e, true), in_sentence(e, predicted)
    total = int(e.confusions.examples[true])
    of_all = f"Of the {plural(total, 'example')} of class {i}, {times}"
    are = "is" if times == 1 else "are"
    often = f"taken for class {e.number(true)} {plural(back, 'time')}"
    if not back:
        often = f"never taken for class {e.number(true)}"
    return (
        f"{of_all} ({fixed_percent(share)}) {are} taken for class {n}. "
        f"Class {e.number(predicted)} is {often}."
    )


def trust(e: SetData) -> Iterator[str]:
    """Whether the probabilities can be trusted, and what a temperature would gain."""
    c = e.calibration
    confidence = float(np.nansum(c.counts * c.confidence) / c.counts.sum())
    right = e.confusions.correct.sum() / c.counts.sum()
    gap = confidence - right
    how = "overconfident" if gap > 0 else "underconfident"
    judged = f"The model is {how}" if abs(gap) >= SAME else "The model is about as sure as right"
    yield (
        f"{judged}: it gives its predictions a probability of {fixed_percent(confidence)} on "
        f"average, and {fixed_percent(right)} of them are right. Expected calibration error "
        f"(ECE, 15 bins): {fixed_percent(c.ece)}, the mean distance between the two in bins of "
        "similar probability."
    )
    yield _temperature(e)


def _temperature(e: SetData) -> str:
    """The temperature that minimises the loss."""
    c = e.calibration
    loss = float(c.losses[c.temperatures.tolist().index(1.0)])
    T = c.best.temperature
    if math.isinf(loss):
        return "A loss is infinite, at any temperature: a label has the logit −inf."
    if not T > 0 or loss == 0:
        return "No temperature changes the loss."
    if loss - c.best.loss < LITTLE * loss:
        return (
            f"A temperature would gain next to nothing: the mean loss is {number(loss)}, and with "
            f"the best one, T = {T:.3g}, {number(c.best.loss)}."
        )
    before, after = told_apart(loss, c.best.loss)
    beyond = ""
    if T in (c.temperatures[0], c.temperatures[-1]):
        beyond = " This is the last of those tried: the best may be beyond it."
    return (
        f"With the temperature T = {T:.3g}, softmax(z/T), the mean loss would be {after} in place "
        f"of {before}, {fixed_percent(1 - c.best.loss / loss, 1)} less, and the ECE about "
        f"{fixed_percent(c.best.ece)} (at T = {c.best.tried:.3g}, the nearest that was tried). The "
        f"predicted classes stay the same.{beyond} It is fitted to these examples: choose T on "
        "others than those you test with."
    )


def issues(e: SetData) -> str:
    """What is meant by a label that looks wrong."""
    x = e.examined
    return (
        f"Of the {plural(x.sought, 'example')} with the highest loss, {x.found or 'none'} "
        f"{'has' if x.found <= 1 else 'have'} a label that looks wrong: the model gives the class "
        "that it predicts at least the probability that it gives, on average, to the examples "
        "labelled with that class. The others are hard: the model is not that sure of what it "
        "predicts."
    )


def why_listed(e: SetData, x: Example) -> str:
    """Why one example is among the labels that look wrong, or among the hard examples."""
    n = x.predicted - e.first_class
    usual = float(e.examined.class_probability[n])
    given = f"The model gives class {in_sentence(e, n)} {number(x.confidence)}"
    if x.predicted == x.label:
        return f"{given}, and that is the label."
    if math.isnan(usual):
        return f"{given}. No example has that label."
    average = f"on average it gives {number(usual)} to the examples labelled {x.predicted}"
    if x in e.examined.suspects:
        return f"{given}; {average}. It looks as if this were one of them."
    return f"{given}, less than usual: {average}. The model is not sure."
