"""Questions about the label: how it is written, and what else may stand there."""

import math

from ..data import SHOWN
from ..rendering.numbers import number, told_apart, worked
from .question import Example, question


@question(
    "Do the labels count from zero or from one?",
    "PyTorch and TensorFlow count from 0; so does softmaxloss, unless you say first_class=1. A "
    "label that is off by one is an error only at the end of the range; anywhere else it is a "
    "valid label of another class.",
    "do class indices start at 0 or 1",
    "is label 3 the third or the fourth class",
    "zero-based or one-based labels",
    "off by one",
    "is the first class 0",
    "my labels are 1 to 10, do I have to subtract one",
    "should I subtract one from the labels",
    "which class is label 3",
    "is label 3 index 2",
)
def zero_or_one_based(x: Example) -> str:
    e, i = x.e, x.i
    if e.first_class == 0:
        text, n, end = f"Here the label {i} counts from 0", x.y - 1, 1
    else:
        text, n, end = f"Here the label {i} counts from 1", x.y + 1, 0
    text += f": it is output {x.y + 1} of {x.count}. If it was meant to count from {end}, "
    if not 0 <= n < x.count:
        valid = f"{end} to {x.count - 1 + end}"
        return f"{text}it would not be a valid label: labels would go from {valid}."
    other = float(e.terms[n])
    if other == x.J:
        numbers = f"and the loss, by chance, {number(other)} as well"
    else:
        numbers = "and the loss {}, not {}".format(*told_apart(other, x.J))
    return f"{text}the true class would be the one that is numbered {e.number(n)} here, {numbers}."


@question(
    "Is the label an index or one-hot?",
    "Both give the same loss: in −Σ onehot_n · log a_n only the true class has a factor of 1. An "
    "index is one integer, a one-hot row has C numbers. Keras has a loss for each: "
    "sparse_categorical_crossentropy and categorical_crossentropy.",
    "do I have to one-hot encode the labels",
    "sparse or categorical cross-entropy",
    "shape of the target",
    "integer labels or vectors",
    "should the target be [0, 0, 1, 0] or 2",
    "does the loss accept one-hot targets",
    "class index or one-hot vector",
    "difference between sparse_categorical_crossentropy and categorical_crossentropy",
)
def index_or_one_hot(x: Example) -> str:
    row = f"a one-hot row of {x.count} numbers: a 1 in place {x.y + 1}, and 0 in all the others"
    if x.count <= SHOWN:
        row = f"the one-hot row [{', '.join('01'[n == x.y] for n in range(x.count))}]"
    text = f"Here the index {x.i} stands for {row}. With either of them, J is {number(x.J)}"
    if (x.a == 0).any() and not x.impossible:
        text += "; 0 · log 0 would be NaN, so those terms must be left out, not multiplied"
    return f"{text}."


@question(
    "What if one example has several labels?",
    "Softmax is for classes that exclude each other; where several can be true at once, use a "
    'sigmoid for each. Otherwise "sum" adds the losses of the labels, as PyTorch and TensorFlow '
    'do, and "mean" averages them: descent with two labels then ends at 1/2 for each.',
    "can an example belong to two classes",
    "more than one true class",
    "two correct labels with softmax",
    "several labels for one image",
    "two classes are both correct",
    "what if the target has two ones",
    "two labels are true at the same time",
)
def several_labels(x: Example) -> str:
    total = float(x.e.terms[x.y] + x.e.terms[x.r])
    why = " (a class that is masked out cannot be a label)" if x.alone or x.impossible else ""
    text = f"Here, with {x.name(x.r)} as a second label, J = −log a_{x.i} − log a_{x.k} = "
    if math.isinf(total):
        return f'{text}{number(total)} with "sum", and with "mean" too{why}.'
    return f'{text}{number(total)} with "sum", and {_half(total)} with "mean".'


@question(
    "What if a label is out of range?",
    'It has no output, so there is no loss: PyTorch says "Target 4 is out of bounds", or on a '
    'GPU "device-side assert triggered". Mostly the labels count from 1, or the last layer has '
    "too few outputs.",
    "target is out of bounds",
    "device-side assert triggered",
    "IndexError in cross-entropy",
    "label larger than the number of classes",
    "negative label",
    "label is not a class",
    "assertion t >= 0 && t < n_classes failed",
    "label too large",
)
def label_out_of_range(x: Example) -> str:
    first, last = x.e.first_class, x.count - 1 + x.e.first_class
    return (
        f"Here labels go from {first} to {last}, and {last + 1} is an error. NumPy would "
        f"read −1 as the last class, class {last}, with the loss {number(float(x.e.terms[-1]))}."
    )


@question(
    "What do ignore_index and padding do?",
    "A row whose label is ignore_index, −100 unless you choose another, does not count: its loss "
    "and its gradient are 0, and the mean is divided by the number of the other rows. Give "
    "padding that label.",
    "how to mask padding tokens in the loss",
    "label −100",
    "exclude some positions from the loss",
    "do padded tokens count in the mean",
    "do not count pad tokens",
    "what does the label −100 mean",
    "ignore some tokens",
)
def ignore_index(x: Example) -> str:
    if not math.isfinite(x.J):
        return f"Here the label is {x.i}, so the row counts, and J is inf."
    return (
        f"Here the label is {x.i}, so the row counts, with J = {number(x.J)}. In a batch of this "
        f"row and one ignored row the mean is {number(x.J)}, and not {_half(x.J)}."
    )


def _half(J: float) -> str:
    return worked("{} / 2", lambda J: J / 2, [J], J / 2)
