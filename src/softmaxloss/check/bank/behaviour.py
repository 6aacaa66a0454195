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
        "half-regularisation",
        "½·reg·ΣW²",
        "The other convention is reg·ΣW²; the gradients are reg·W and 2·reg·W.",
        "reg * np.sum(W * W)",
        kind="convention",
    ),
    Mistake(
        "no-regularisation",
        "reg changes nothing",
        "The loss asked for has the term reg·ΣW².",
        "loss += reg * np.sum(W * W); dW += 2 * reg * W",
    ),
    Mistake(
        "regularisation-wrong",
        "reg adds something else than reg·ΣW² or half of that",
        "The penalty is on the squares of all weights, and is not divided by N.",
        "loss += reg * np.sum(W * W)",
    ),
    Mistake(
        "regularisation-gradient",
        "the gradient of the regularisation does not fit that of the loss",
        "reg·ΣW² has the gradient 2·reg·W, ½·reg·ΣW² has reg·W.",
        "dW += 2 * reg * W",
    ),
    Mistake(
        "loss-and-gradient-differ",
        "the gradient is not that of the loss: one is for a mean, or in nats, the other is not",
        "Descent then takes steps of another size than the loss says.",
        "divide both by N, or neither; take the natural logarithm in both",
    ),
    Mistake(
        "constant",
        "the same number for every input",
        "The loss depends on the logits and the labels.",
        "return the loss that was computed",
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
