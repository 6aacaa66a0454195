"""Questions about the derivatives, and about what a step of gradient descent does."""

import math

import numpy as np

from ..data import SHOWN
from ..one_words import rising, slope_formula
from ..rendering.numbers import number, numbers, worked
from .question import Example, change, question

EPSILON = float(np.finfo(np.float64).eps)


def multiplies(x: Example) -> bool:
    """Whether ∂J/∂a_y · ∂a_y/∂z is ∂J/∂z in float64, too."""
    by_a, product, a = x.e.gradient_by_probability, float(x.e.jacobian_row[x.r]), x.a[x.r]
    return math.isfinite(by_a) and bool(abs(by_a * product - a) <= 1e-6 * a)


@question(
    "How does the network know which output to raise?",
    "The label decides it: the true class gets the −1. Its derivative ∂J/∂z_y = a_y − 1 is "
    "negative, that of every other class, ∂J/∂z_n = a_n, is positive, and descent moves each "
    "output against its derivative.",
    "how does the network know which class is correct",
    "how does the model know which output neuron to increase and which to decrease",
    "what says which logit should go up",
    "only the loss of the true class is computed, how does it know which output to raise",
    "where does the label enter the gradient",
    "why is the right class pushed up and the rest pushed down",
    "how does the correct neuron get bigger",
    "where does it learn which class is the answer",
    "how does the loss, a single number, know which output to change",
    "who tells the network the answer",
)
def which_is_raised(x: Example) -> str:
    if not x.e.gradient.any():
        return f"Here {x.saturated()}: every derivative is 0, and no output moves."
    return (
        f"Here {slope_formula(x.e)}, and a step of {x.e.step:g} {x.moves(x.y)}. "
        f"The others fall; the largest push {x.moves(x.r)}."
    )


@question(
    "What does the gradient ∂J/∂z mean?",
    "Its entry for a class says how much the loss changes where that output alone rises a little: "
    "∂J/∂z_n = a_n, and a_y − 1 for the true class. Descent moves each output the other way.",
    "what is the gradient",
    "what is a gradient",
    "what does the derivative of the loss mean",
    "how is the gradient computed",
    "how to calculate the gradient",
    "formula of the gradient",
    "derivative of softmax cross-entropy",
    "why is the gradient a - y",
    "why is the gradient p - y",
    "what is dJ/dz",
)
def gradient(x: Example) -> str:
    if not x.e.gradient.any():
        return f"Here {x.saturated()}: every derivative is 0."
    change = number(0.01 * float(x.e.gradient[x.y]))
    return f"Here {slope_formula(x.e)}: where z_{x.i} rises by 0.01, J changes by about {change}."


@question(
    "How do the other outputs learn, if only −log a_y is counted?",
    "Through the denominator of a_y, in which every output is. The derivative of J with respect "
    "to the output of another class n is ∂J/∂z_n = a_n. So descent pushes that output down, and "
    "harder if its class is more probable.",
    "how are the wrong classes trained if they are not part of the loss",
    "how do the other neurons get a gradient",
    "do the incorrect outputs get updated",
    "what is the gradient for the wrong classes",
    "do gradients flow to the outputs that are not the target",
    "how do the other classes get trained if their terms are multiplied by zero",
    "is there a gradient for the non-target logits",
    "the other terms are zero, so how can they learn",
    "what is the gradient for the other outputs if only the true class is in the loss",
)
def others_learn(x: Example) -> str:
    if not x.e.gradient.any():
        return f"Here {x.saturated()}: every derivative is 0, and nothing is left to learn."
    k = x.k
    return (
        f"Here the strongest other is {x.name(x.r)}: ∂J/∂z_{k} = a_{k} = {number(x.a[x.r])}, and a "
        f"step of {x.e.step:g} {x.moves(x.r)}."
    )


@question(
    "Do I need ∂J/∂a for every class?",
    "No: J = −log a_y depends on a_y alone, so ∂J/∂a_y = −1/a_y is the only one that is not 0. "
    "The other outputs come in through a_y: ∂J/∂z_n = ∂J/∂a_y · ∂a_y/∂z_n.",
    "is the derivative of the loss with respect to the other probabilities zero",
    "must I compute the derivative with respect to a for all classes",
    "chain rule through the softmax",
    "is ∂J/∂a a vector with one entry that is not zero",
    "do I need the gradient with respect to every activation in the backward pass",
    "backward pass of softmax and loss",
    "gradient with respect to a",
    "∂J/∂a for every n, or only for the true class",
)
def derivative_by_a(x: Example) -> str:
    i, k, by_a = x.i, x.k, x.e.gradient_by_probability
    product = float(x.e.jacobian_row[x.r])
    if not multiplies(x):
        return (
            f"Here one of the two factors is too small or too large for float64. The product, "
            f"∂J/∂z_{k} = a_{k} = {number(x.a[x.r])}, is computed without them."
        )
    shown = worked("−1 / {}", lambda a: -1 / a, [float(x.a[x.y])], by_a)
    return (
        f"Here ∂J/∂a_{i} = {shown}, and for {x.name(x.r)} ∂a_{i}/∂z_{k} = −a_{i}·a_{k} = "
        f"{number(product)}. Their product is ∂J/∂z_{k} = a_{k} = {number(x.a[x.r])}."
    )


@question(
    "Why is ∂J/∂z_y never positive?",
    "Because ∂J/∂z_y = a_y − 1, and no probability is above 1. Descent goes against the "
    "derivative, so it pushes the true output up, and the harder, the further a_y is from 1.",
    "why is a_y − 1 negative",
    "sign of the derivative for the true class",
    "why is the gradient of the right output negative",
    "why is a − 1 below zero",
    "can ∂J/∂z of the target be positive",
    "is ∂J/∂z_y always negative",
)
def gradient_sign(x: Example) -> str:
    if x.e.gradient[x.y] == 0:
        return f"Here {x.saturated()}: ∂J/∂z_{x.i} is 0, and nothing is pushed."
    return f"Here {slope_formula(x.e)}, and a step of {x.e.step:g} {x.moves(x.y)}."


@question(
    "Do the derivatives sum to one?",
    "No, to zero. They are the probabilities, which sum to 1, minus 1 for the true class. So the "
    "true output is pushed up as hard as all the others together are pushed down.",
    "do the gradients add up to one",
    "why is the sum of the derivatives zero",
    "sum of dJ/dz over all classes",
    "why do the gradients sum to 0",
    "sum of a − y over the classes",
    "total of the gradient",
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


@question(
    "Will the other probabilities fall?",
    "Their outputs do, in every step. A wrong probability may rise for a while, where a "
    "stronger wrong class falls more; in the long run all of them go to 0, because a_y goes to "
    "1.",
    "do all wrong probabilities decrease",
    "do the probabilities of the other classes go down",
    "why does the probability of a wrong class rise",
    "the output falls but its probability rises",
    "a wrong class got more likely after a step",
    "is it guaranteed that the wrong classes become less likely",
    "probability of a wrong class increased after an update",
    "all other probabilities decrease",
)
def others_fall(x: Example) -> str:
    if not x.e.gradient.any():
        return f"Here {x.saturated()}: there is nothing left to fall."
    if x.impossible:
        return f"Here z_{x.i} is −inf: a_{x.i} stays 0, and the others keep all of the probability."
    if said := rising(x.e):
        return f"Here, for {said}"
    before, after = float(x.a[x.r]), float(x.e.after.probabilities[x.r])
    if not after < before:
        return f"Here a step of {x.e.step:g} shows no change of a_{x.k} in float64."
    return (
        f"Here no wrong probability rises; a_{x.k} falls {change(before, after)} in a step of "
        f"{x.e.step:g}."
    )


@question(
    "Is a step of α · (1 − a_y) too small to matter?",
    "No. A step of size α lowers J by about α · Σ (∂J/∂z_n)², and never by more; small steps add "
    "up.",
    "the step is so small, does it change anything",
    "how much does one step lower the loss",
    "how many steps does it take",
    "effect of the learning rate on one example",
    "is the gradient large enough to change anything",
    "the gradient is very small",
    "by how much does the loss decrease in a step",
    "too small to matter",
)
def step_size(x: Example) -> str:
    e, i = x.e, x.i
    if x.impossible:
        return f"Here z_{i} is −inf, which no step changes: J stays inf, however large the step is."
    before, after = x.J, e.after.loss
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
    text = (
        f"Here a step of {e.step:g} {x.moves(x.y)}, and a_{i} "
        f"{change(float(x.a[x.y]), float(e.after.probabilities[x.y]))}. J falls by "
        f"{number(fall)}; the bound {e.step:g} · Σ (∂J/∂z_n)² is {number(estimate)}."
    )
    assert e.path is not None  # J is finite
    steps, reached = int(e.path.steps[-1]), float(e.path.target_probability[-1])
    if steps > 1 and math.isfinite(reached):
        text += f" After {steps} such steps a_{i} is {number(reached)}."
    return text


@question(
    "Does a_y ever reach 1?",
    "No: exp of every other output stays above 0, so a_y stays below 1. The push is 1 − a_y, so "
    "the steps get smaller, while the outputs grow without end.",
    "can the probability become exactly 1",
    "will the loss ever reach zero",
    "does gradient descent ever finish",
    "when does training stop",
    "can the probability be 100 %",
    "does it converge to one",
    "when does gradient descent stop",
    "is a loss of 0 possible",
    "is the loss 0 when the prediction is right",
    "perfect prediction",
    "can the probability of the true class become exactly 1",
)
def reach_one(x: Example) -> str:
    i, path = x.i, x.e.path
    if x.impossible:
        return f"Here z_{i} is −inf: a_{i} is 0, and no step changes that."
    if not x.e.gradient.any():
        return f"Here {x.saturated()}."
    assert path is not None  # the logit of the true class is finite
    steps, last = int(path.steps[-1]), float(path.target_probability[-1])
    now = f"Here a_{i} is {number(x.a[x.y])}"
    if steps == 0 or not math.isfinite(last):
        left = worked("1 − {}", lambda a: 1 - a, [float(x.a[x.y])], -float(x.e.gradient[x.y]))
        return f"{now}, and what is left to 1 is {left.rpartition(' = ')[2]}."
    way = [
        f"{number(float(path.target_probability[k]))} after {at}"
        for k, at in enumerate(path.steps.tolist())
        if at in (10, 100, 1000) and at < steps
    ]
    return (
        f"{now}; it is {', '.join([*way, f'{number(last)} after {steps}'])} steps of {x.e.step:g}."
    )


@question(
    "We update the weights, not z: what happens to the outputs?",
    "The chain rule goes on: with z = W·x + b, ∂J/∂W = (a − onehot(y))·xᵀ. A step on W moves z "
    "as a step on z itself does, times ‖x‖²; other examples use the same weights, and may move "
    "z back.",
    "we only change the weights, not the outputs",
    "how do the logits change when the weights are updated",
    "gradient with respect to the weights",
    "what is dJ/dW",
    "we do not do descent on z",
    "how does a change of the weights W change z",
    "from dz to dW",
    "backpropagation to the weights of the layer",
    "z is not a parameter",
)
def weights_not_outputs(x: Example) -> str:
    e, i = x.e, x.i
    if not e.gradient.any():
        return f"Here {x.saturated()}: every derivative is 0, and no weight is changed."
    if x.impossible:
        return f"Here z_{i} is −inf, which no step changes."
    if (layer := e.layer) is not None:
        what, factor = ("W", "‖x‖²") if layer.bias is None else ("W and b", "‖x‖² + 1")
        after = float(layer.after.logits[x.y])
        if not (math.isfinite(layer.gain) and math.isfinite(after)):
            return f"Here a step on {what} takes z_{i} out of the range of float64."
        return (
            f"Here {factor} is {number(layer.gain)}, and a step of {e.step:g} on {what} takes "
            f"z_{i} {change(float(x.z[x.y]), after)}."
        )
    move = -e.step * float(e.gradient[x.y])
    if not (math.isfinite(4 * move) and math.isfinite(x.z[x.y] + 4 * move)):
        return f"Here a step of {e.step:g} takes z_{i} out of the range of float64."
    shown = worked("4 · {}", lambda m: 4 * m, [move], 4 * move)
    return (
        f"Here a step of {e.step:g} on z itself raises z_{i} by {number(move)}. On the weights, if "
        f"‖x‖² is 4, it raises z_{i} by {shown}."
    )


@question(
    "What is the whole Jacobian ∂a/∂z, in code?",
    "∂a_i/∂z_n = a_i·(1 − a_i) for n = i, and −a_i·a_n otherwise: a matrix of C × C numbers. "
    "Nobody needs all of it for the loss, which takes only the row of the true class.",
    "compute the Jacobian of softmax in numpy",
    "derivative of softmax as a matrix",
    "code for the softmax gradient",
    "np.diag(a) - np.outer(a, a)",
    "write the C × C derivative of softmax",
    "full Jacobian matrix of softmax",
    "python code for the derivative of softmax",
    "what is the derivative of softmax",
)
def jacobian(x: Example) -> str:
    row = [repr(float(z)) if np.isfinite(z) else "-np.inf" for z in x.z[:SHOWN]]
    given = f"np.array([{', '.join(row)}])" if x.count <= SHOWN else f"logits  # all {x.count}"
    code = (
        f"   z = {given}\n"
        "   a = np.exp(z - z.max())\n"
        "   a /= a.sum()\n"
        "   jacobian = np.diag(a) - np.outer(a, a)"
    )
    product = (
        f"Times ∂J/∂a_{x.i} = {number(x.e.gradient_by_probability)} it is ∂J/∂z."
        if multiplies(x)
        else f"∂J/∂a_{x.i} is too large for float64, so ∂J/∂z is not computed as their product."
    )
    order = x.y if x.e.first_class == 0 else f"{x.y}, counted from 0"
    return (
        f"Here it is this matrix, of {x.count} × {x.count} numbers:\n\n{code}\n\nIts row {order}, "
        f"for {x.name(x.y)}, is {numbers(x.e.jacobian_row, 6)}. {product}"
    )


@question(
    "What is the second derivative?",
    "∂²J/∂z² = diag(a) − a·aᵀ, which is the Jacobian of softmax. The label is not in it, and none "
    "of its eigenvalues is negative, so J is convex in the outputs z: descent on z has no local "
    "minimum to be caught in. In the weights of a deep network J is not convex.",
    "hessian of the softmax cross-entropy",
    "is cross-entropy convex",
    "curvature of the loss",
    "diag(a) - a aT",
    "does the loss have local minima",
    "hessian of log-sum-exp",
    "∂²J/∂z²",
    "eigenvalues of the Hessian",
)
def second_derivative(x: Example) -> str:
    i, k = x.i, x.k
    a, rest, twice = float(x.a[x.y]), -float(x.e.gradient[x.y]), float(x.e.jacobian_row[x.y])
    shown = worked("{} · {}", lambda a, rest: a * rest, [a, rest], twice)
    mixed = number(float(x.e.jacobian_row[x.r]))
    return (
        f"Here ∂²J/∂z_{i}² = a_{i}·(1 − a_{i}) = {shown}, and ∂²J/∂z_{i}∂z_{k} = −a_{i}·a_{k} = "
        f"{mixed}."
    )
