"""Questions about training: the numbers that are seen there, and the options of the loss."""

import math

import numpy as np

from ...api import cross_entropy
from ..rendering.numbers import number, told_apart, worked
from .question import Example, question

WEIGHT = 5
SMOOTHING = 0.1


@question(
    "Should softmax come before the loss of the framework?",
    "No: CrossEntropyLoss of PyTorch takes logits and applies softmax itself, and so does Keras "
    "with from_logits=True. A second softmax sees numbers between 0 and 1 and makes them nearly "
    "alike, so the loss stays near ln C.",
    "softmax applied twice",
    "what is from_logits",
    "softmax layer in front of CrossEntropyLoss",
    "the loss is stuck at ln C",
    "the loss does not decrease",
    "does the loss function include the softmax",
    "do I need a softmax layer at the end of my model",
    "does CrossEntropyLoss already apply softmax",
    "why is the loss stuck around 2.3",
    "from_logits true or false",
    "the loss does not go below a value",
    "logits or probabilities as input of the loss",
    "the loss does not go below a value although the accuracy is high",
    "softmax two times",
)
def softmax_twice(x: Example) -> str:
    C, twice = x.count, float(cross_entropy(x.a, x.y))
    J = told_apart(twice, x.J)
    changed = f"{J[0]}, not {J[1]}" if J[0] != J[1] else f"{J[0]} as well"
    least = number(math.log1p((C - 1) / math.e))
    return (
        f"Here J would be {changed}. With {C} classes it cannot get below log(1 + {C - 1} / e) = "
        f"{least}, and ln {C} = {number(math.log(C))}."
    )


@question(
    "Why do loss and accuracy both rise?",
    "Accuracy counts how many predictions are right; the loss also counts how sure they are, "
    "and a few that are sure and wrong can outweigh many that are right. On validation data "
    "that is a sign of overfitting.",
    "validation loss increases while accuracy increases",
    "the loss goes up but the accuracy improves",
    "difference between loss and accuracy",
    "large loss in spite of a good accuracy",
    "test loss rises, test accuracy too",
    "accuracy is 95 % but the loss is large",
    "accuracy stays the same while the loss changes",
)
def loss_and_accuracy(x: Example) -> str:
    verdict = "right" if x.e.predicted == x.y else "wrong"
    with np.errstate(over="ignore"):
        double = 2 * x.z
    if not (np.isfinite(double) | (x.z == -math.inf)).all() or math.isinf(x.J):
        return f"Here the prediction is {verdict}, and J is {number(x.J)}."
    J = told_apart(x.J, float(cross_entropy(double, x.y)))
    change = f"stay {J[0]}" if J[0] == J[1] else f"go from {J[0]} to {J[1]}"
    return (
        f"Here the prediction is {verdict}. With every output twice as large it would be the same, "
        f"but the loss would {change}."
    )


@question(
    "What do class weights change?",
    "The loss and the gradient of an example are multiplied by the weight of its true class, so "
    "that rare classes can count as much as frequent ones. The mean is then divided by the sum "
    "of these weights.",
    "unbalanced classes",
    "weight argument of the loss",
    "rare classes",
    "how do I weight the classes",
    "most of my data is of one class",
    "weights for unbalanced data",
    "imbalanced data set",
)
def class_weights(x: Example) -> str:
    if not math.isfinite(WEIGHT * x.J):
        return f"Here J = {number(x.J)}, and no weight brings it into the range of float64."
    loss = worked(f"{WEIGHT} · {{}}", lambda J: WEIGHT * J, [x.J], WEIGHT * x.J)
    return (
        f"Here a weight of {WEIGHT} for {x.name(x.y)} makes the loss {loss}, and its derivative "
        f"with respect to z_{x.i} {number(WEIGHT * float(x.e.gradient[x.y]))}."
    )


@question(
    "Why does the loss not go to 0 with label smoothing?",
    "With smoothing ε the target is 1 − ε + ε / C for the true class, and ε / C for each other. "
    "The loss is least where a equals this target, and there it is the entropy of the target, "
    "which is not 0.",
    "minimum of the loss with label_smoothing",
    "floor of the smoothed loss",
    "what is label smoothing",
    "the loss with label smoothing does not reach zero",
    "label_smoothing 0.1",
    "what does smoothing the labels do",
    "soft targets",
)
def label_smoothing(x: Example) -> str:
    C, eps = x.count, SMOOTHING
    true, other = 1 - eps + eps / C, eps / C
    least = -true * math.log(true) - (C - 1) * other * math.log(other)
    smoothed = float(cross_entropy(x.z, x.y, label_smoothing=eps))
    return (
        f"Here, with ε = {eps:g}, the target is {number(true)} for {x.name(x.y)} and "
        f"{number(other)} for each other class. The least loss is {number(least)}; that of these "
        f"outputs is {number(smoothed)}."
    )
