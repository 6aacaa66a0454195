"""Questions about the number itself: what the loss counts, in which unit, and what it means."""

import math

import numpy as np

from ...api import score
from ...text import plural
from ..one_words import loss_formula
from ..rendering.numbers import compared, number, percent, told_apart, worked
from .question import Example, question

BATCH = 32


@question(
    "What is the cross-entropy loss?",
    "It is J = −log a_y, and says how badly the true class was predicted. It is 0 where that class "
    "has the probability 1, and grows without bound as the probability goes to 0.",
    "what is the loss",
    "what does the loss mean",
    "formula of the loss",
    "definition of cross-entropy",
    "how is the loss computed",
    "how to calculate the loss",
    "what is J",
    "what does cross-entropy measure",
    "why is the loss this number",
)
def cross_entropy_loss(x: Example) -> str:
    return f"Here {loss_formula(x.e)}."


@question(
    "Does the loss count only the true class?",
    "Yes, the loss is one term, J = −log a_y. The other classes have no term of their own, yet "
    "each of them counts, because it is in the denominator of a_y = exp z_y / Σ exp z.",
    "is only −log a of the true class computed",
    "are the other classes ignored in the loss",
    "why is there no term for the wrong classes",
    "what happened to the sum over the classes in the cross-entropy",
    "the sum over the classes has only one term",
    "are all probabilities but that of the label discarded",
    "does it matter how the rest is spread over the wrong classes",
    "why multiply by zero for the wrong classes",
    "are wrong predictions ignored",
)
def only_true_class(x: Example) -> str:
    text = f"Here {loss_formula(x.e)}. "
    if x.alone:
        return f"{text}No other class has a share of the denominator: each is masked out."
    others = "The other class holds" if x.count == 2 else f"The {x.count - 1} others hold"
    if not x.e.gradient.any():
        return f"{text}{others} less of the probability than float64 can show."
    share = percent(-float(x.e.gradient[x.y]))  # 1 − a_y without its rounding
    return f"{text}{others} {share} of the probability."


@question(
    "Is this a good loss?",
    "Compare it with ln C, the loss of a uniform guess among C classes. Below ln 2 the true class "
    "has more than half of the probability, and so the prediction is right.",
    "what is a good value of the cross-entropy",
    "what loss does random guessing have",
    "how do I interpret the value of the loss",
    "ln C baseline",
    "what should the loss be at the start of training",
    "initial loss",
    "is my loss low enough",
    "is this loss good or bad",
    "loss of a model that guesses",
    "how do I read the loss",
)
def good_loss(x: Example) -> str:
    e, J = x.e, x.J
    uniform = e.uniform_loss
    beside = compared(J, uniform)
    equal = beside == "equal to"
    shown = (number(J), number(uniform)) if equal else told_apart(J, uniform)
    assert e.predicted is not None
    verdict = "right" if e.predicted == x.y else "wrong"
    return (
        f"Here J = {shown[0]} is {beside} ln {e.choices} = {shown[1]}, and the true class has the "
        f"probability {number(x.a[x.y])}. The prediction is {x.name(e.predicted)}, and {verdict}."
    )


@question(
    "Can the loss exceed 1, or be negative?",
    "It can be any number from 0 up. It exceeds 1 when a_y is below 1 / e = 0.3679. It is never "
    "negative, because no probability is above 1: a negative value is that of another function, "
    "such as log a_y without its minus, or a_y itself.",
    "can cross-entropy be greater than one",
    "why is my loss negative",
    "is there an upper limit of the loss",
    "range of the loss",
    "is a loss above 1 possible",
    "is the loss bounded",
    "loss below zero",
    "maximum and minimum of the loss",
    "my loss is larger than 1",
    "how large can the loss get",
)
def range_of_loss(x: Example) -> str:
    a, J = float(x.a[x.y]), x.J
    a_shown = told_apart(a, math.exp(-1))[0]
    J_shown = told_apart(J, 1.0)[0]
    below, above = ("is", "exceeds 1") if J > 1 else ("is not", "does not exceed 1")
    return f"Here a_{x.i} = {a_shown} {below} below 0.3679, and J = {J_shown} {above}."


@question(
    "Why the logarithm, and to which base?",
    "The probability of all labels of a data set is a product; its log is a sum, with one loss "
    "for each example. The log of a probability is never positive, and with the minus the loss "
    "never is negative. The base only scales the loss; the frameworks use the natural log, base e.",
    "why is there a log in the loss",
    "log or ln",
    "which base does the logarithm have",
    "why not 1 − a as the loss",
    "maximum likelihood",
    "why not maximise the probability itself",
    "does the base of the log matter",
    "what is the log good for",
    "why minus log",
    "what is the minus for",
    "natural logarithm or base 10",
    "why −log of the probability",
    "why is the loss minus the log of a probability",
)
def why_log(x: Example) -> str:
    J, a = x.J, float(x.a[x.y])
    if not math.isfinite(J):
        return f"Here a_{x.i} is 0, and J is inf in every base."
    natural = worked("−ln {}", lambda a: -math.log(a), [a], J)
    return (
        f"Here J = {natural}. To base 2 it would be {number(x.e.bits)}, to base 10 "
        f"{number(J / math.log(10))}."
    )


@question(
    "What is a nat?",
    "The unit of a loss with the natural log, as a bit is the unit with the log to base 2. One nat "
    "is 1 / ln 2 = 1.4427 bits.",
    "what is the unit of the loss",
    "nats and bits",
    "convert nats to bits",
    "is the loss in bits",
    "loss in nats or bits",
    "which unit does the loss have",
)
def nat(x: Example) -> str:
    if not math.isfinite(x.J):
        return "Here J is inf, in nats as in bits."
    bits = worked("{} / ln 2", lambda J: J / math.log(2), [x.J], x.e.bits)
    return f"Here J is {number(x.J)} nats. In bits it is {bits}."


@question(
    "Why not the squared error?",
    "Because it teaches least where the network is most wrong. After a softmax, the derivative of "
    "the squared error has the factor a_y, which is near 0 when the network is sure and wrong. "
    "That of −log a_y is a_y − 1, which is near −1 there.",
    "why cross-entropy instead of mean squared error",
    "MSE for classification",
    "why not use (1 − a)² as the loss",
    "why not (y − a)²",
    "why is MSE bad for classifiers",
    "cross-entropy versus squared error",
    "L2 loss with softmax",
    "vanishing gradient",
)
def squared_error(x: Example) -> str:
    # −2·a_y·((1 − a_y)² + Σ a_n² over the others): the sum over ∂a/∂z_y without its cancellation
    others = float(x.e.gradient[x.y] ** 2) + math.fsum(np.delete(x.a, x.y) ** 2)
    slope = -2 * float(x.a[x.y]) * others
    return (
        f"Here the derivative with respect to z_{x.i} is {number(float(x.e.gradient[x.y]))} with "
        f"−log a_{x.i}, and {number(slope)} with the squared error Σ (a_n − onehot_n)²."
    )


@question(
    "Cost or loss, and mean or sum over a batch?",
    "The loss is that of one example, the cost that of a batch: mostly the mean of its losses, "
    "as by default in PyTorch. With the sum the gradient grows with the batch, and the learning "
    "rate has to shrink.",
    "difference between loss function and cost function",
    "reduction mean or sum",
    "is the loss averaged over the batch",
    "loss of a mini-batch",
    "do I divide by the batch size",
    "is the loss of a batch summed or averaged",
    "J or L, loss or cost",
    "size average",
)
def mean_or_sum(x: Example) -> str:
    if not math.isfinite(x.J):
        return "Here J is inf, and so is the mean or the sum of every batch with this example."
    slope = -float(x.e.gradient[x.y])
    loss = worked(f"{{}} / {BATCH}", lambda J: J / BATCH, [x.J], x.J / BATCH)
    push = worked(f"{{}} / {BATCH}", lambda push: push / BATCH, [slope], slope / BATCH)
    return (
        f"Here this example adds {number(x.J)} to the sum over a batch of {BATCH}, but {loss} to "
        f"the mean. Its push on z_{x.i} is {number(slope)}, or {push}."
    )


@question(
    "Is cross-entropy the negative log-likelihood?",
    "For class labels, yes: a_y is the likelihood of one label, that of all labels is the product "
    "of their a_y, and −log of a product is the sum of the −log a_y. In PyTorch nll_loss starts "
    "from log a, and cross_entropy from z.",
    "what is the negative log likelihood",
    "maximum likelihood estimation and cross-entropy",
    "nll loss or cross-entropy loss",
    "difference between nllloss and crossentropyloss",
    "why is minimising the loss maximising the likelihood",
    "log likelihood of the labels",
)
def negative_log_likelihood(x: Example) -> str:
    return (
        f"Here the likelihood of the label {x.name(x.y)} is a_{x.i} = {number(x.a[x.y])}, its "
        f"logarithm is {number(-x.J)}, and J is {number(x.J)}."
    )


@question(
    "How is the loss related to entropy and KL divergence?",
    "The loss is the cross-entropy of the target and a: the entropy of the target plus the KL "
    "divergence from the target to a. A label alone has entropy 0, so the loss is the KL "
    "divergence too.",
    "relation between cross-entropy and KL divergence",
    "difference between entropy and cross-entropy",
    "why is it called cross-entropy",
    "kullback leibler",
    "where does the name cross-entropy come from",
    "is minimising cross-entropy the same as minimising the KL divergence",
    "entropy of the prediction",
)
def entropy_and_kl(x: Example) -> str:
    entropy = float(score(x.z, x.y).entropy)
    return (
        f"Here both are {number(x.J)}. The entropy of a, which says how unsure the network is, is "
        f"{number(entropy)}, of at most ln {x.e.choices} = {number(x.e.uniform_loss)}."
    )


@question(
    "What is perplexity?",
    "It is exp of the mean loss in nats, and for one example 1 / a_y: the number of classes "
    "among which a uniform guess has the same loss. Language models report it for the mean over "
    "all tokens.",
    "how is perplexity computed from the loss",
    "meaning of perplexity",
    "exp of the loss",
    "ppl",
    "from loss to perplexity",
    "perplexity of a language model",
)
def perplexity(x: Example) -> str:
    with np.errstate(over="ignore"):
        value = float(np.exp(x.J))
    guess = f"A uniform guess among {plural(x.e.choices, 'class')} has perplexity {x.e.choices}."
    if math.isinf(value):
        return f"Here J = {number(x.J)}, and exp of it is beyond float64. {guess}"
    return f"Here it is {worked('exp({})', math.exp, [x.J], value)}. {guess}"
