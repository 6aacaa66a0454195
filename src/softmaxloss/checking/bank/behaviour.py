"""What is seen by watching calls, and not in the numbers of one."""

from __future__ import annotations

from .mistake import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "logits-overwritten",
        "the caller's logits are overwritten",
        "z −= m and z[…] −= 1 write to the array that was passed in.",
        "z = z - m, or z = z.copy() first",
    ),
    Mistake(
        "labels-overwritten",
        "the caller's labels are overwritten",
        "y −= 1 writes to the array that was passed in.",
        "y = y - 1",
    ),
    Mistake(
        "result-is-the-input",
        "the result shares memory with the logits",
        "Who changes the one changes the other.",
        "return a new array",
    ),
    Mistake(
        "not-repeatable",
        "the same call gives another result the second time",
        "The result depends on something besides the arguments.",
        "keep no state between calls",
    ),
    Mistake(
        "loss-and-gradient-differ",
        "the gradient is not that of the loss: one has a convention that the other has not",
        "Descent then goes down another function than the one that is shown.",
        "the same in both: a mean or a sum, nats or bits, the same target",
    ),
    Mistake(
        "settings-changed",
        "settings of the process are changed: NumPy's errors, the state of its random numbers, "
        "the folder, …",
        "Everything else in the program gets them too.",
        "with np.errstate(…), np.random.default_rng(seed)",
        kind="weakness",
    ),
    Mistake(
        "gradient-not-divided",
        "the gradient is not divided by the number of examples, and the loss is",
        "The mean of N losses has a gradient with the factor 1/N.",
        "dz /= N",
    ),
    Mistake(
        "raises",
        "it raises where there is an answer",
        "The option is among its parameters.",
        "see the message",
    ),
    Mistake(
        "constant",
        "the same number for every input",
        "The loss depends on the logits and the labels.",
        "return the loss that was computed",
    ),
    Mistake(
        "always-nan",
        "NaN or infinite for every input",
        "A log of a negative number is: dx = a takes no copy, and dx[…] −= 1 before the log then "
        "makes a_y negative.",
        "dx = a.copy(), or take the log first",
    ),
    Mistake(
        "no-gradient",
        "no gradient comes back",
        "It was asked for; a loss that was detached, or made by .item(), has none.",
        "return loss, gradient; or leave the loss a tensor of the graph",
    ),
    Mistake(
        "no-loss",
        "no loss comes back",
        "It was asked for.",
        "return loss, gradient",
    ),
    Mistake(
        "one-example-only",
        "it takes one example; of a batch it makes wrong numbers without an error",
        "A batch of one example is as good for it; one of several is not.",
        "axis=1 (or axis=-1) and keepdims=True in each sum and maximum",
        kind="convention",
    ),
    Mistake(
        "computed-in-float32",
        "float64 goes in, and what comes out has the precision of float32",
        "On the way the logits are rounded to 7 digits.",
        "keep the dtype of the logits",
        kind="weakness",
    ),
    Mistake(
        "numpy-changed",
        "functions of NumPy were replaced",
        "Everything else that uses NumPy gets the replacements too.",
        "give your own functions names of their own",
    ),
    Mistake(
        "nan-for-good-logits",
        "NaN where the answer is a number",
        "Finite logits have a finite loss and gradient.",
        "subtract the maximum of each row; never multiply 0 by log 0",
    ),
]
