"""Mistakes that the numbers of one call do not show, or that no single step explains."""

from .mistake import Mistake

MISTAKES = [
    Mistake(
        "logits-overwritten",
        "the caller's logits are overwritten",
        "z -= m and z[…] -= 1 write to the array that was passed in.",
        "z = z - m, or z = z.copy() first",
    ),
    Mistake(
        "labels-overwritten",
        "the caller's labels are overwritten",
        "y -= 1 writes to the array that was passed in.",
        "y = y - 1",
    ),
    Mistake(
        "result-is-the-input",
        "the result shares memory with the logits",
        "A change of one changes the other.",
        "return a new array",
    ),
    Mistake(
        "not-repeatable",
        "the same call returns another result later",
        "The result depends on something other than the arguments.",
        "keep no state between calls",
    ),
    Mistake(
        "same-for-other-logits",
        "other logits with the same labels give the same result",
        "The result depends on the logits; one that is kept from an earlier call is not it.",
        "compute from the logits of each call; a cache needs all of them in its key",
    ),
    Mistake(
        "depends-on-the-caller",
        "another result where the function is not called by this check",
        "The result depends on something other than the arguments.",
        "read nothing but the arguments",
    ),
    Mistake(
        "loss-and-gradient-differ",
        "the gradient is not that of the loss: one has a convention that the other lacks",
        "Gradient descent then minimises another function than the loss that is reported.",
        "the same in both: a mean or a sum, nats or bits, the same target",
    ),
    Mistake(
        "settings-changed",
        "settings of the process are changed: NumPy's errors, the random state, the folder, …",
        "The change affects everything else in the program.",
        "with np.errstate(…), np.random.default_rng(seed)",
        kind="weakness",
    ),
    Mistake(
        "gradient-not-divided",
        "the loss is divided by the number of examples, the gradient is not",
        "The mean of N losses has a gradient with the factor 1/N.",
        "dz /= N",
    ),
    Mistake(
        "raises",
        "an error is raised for a valid option",
        "The function has this parameter, and the loss is defined for this value.",
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
        "A log of a negative number is NaN: after dx = a, which is no copy, dx[…] -= 1 changes a.",
        "dx = a.copy(), or take the log first",
    ),
    Mistake(
        "no-gradient",
        "no gradient is returned",
        "The check asked for one; a loss that was detached, or made by .item(), has none.",
        "return loss, gradient; or leave the loss a tensor of the graph",
    ),
    Mistake(
        "no-loss",
        "no loss is returned",
        "The check asked for one.",
        "return loss, gradient",
    ),
    Mistake(
        "log-returned",
        "the log of the probabilities is returned, not the probabilities",
        "Probabilities are between 0 and 1 and sum to 1; their logs are negative.",
        "return np.exp(log_a), or call it log_softmax",
    ),
    Mistake(
        "log-missing",
        "the probabilities are returned, not their log",
        "The log softmax is z − log Σ exp z, and at most 0.",
        "return z - m - np.log(np.exp(z - m).sum(axis=1, keepdims=True)), with m the maximum",
    ),
    Mistake(
        "one-hot-from-the-labels",
        "the one-hot matrix has y.max() + 1 columns",
        "A batch without an example of the last class has too few columns: an error.",
        "np.eye(C)[y], with C = z.shape[1]",
        kind="weakness",
    ),
    Mistake(
        "classes-hard-coded",
        "the number of classes is written in the code",
        "With another number of classes the function raises an error, or is wrong.",
        "C = z.shape[1]",
        kind="weakness",
    ),
    Mistake(
        "one-example-only",
        "handles one example only; a batch silently gives wrong results",
        "Its sums and maxima run over all examples, which is right for a single one only.",
        "axis=1 (or axis=-1) and keepdims=True in each sum and maximum",
        kind="convention",
    ),
    Mistake(
        "computed-in-float32",
        "the result for float64 logits has the precision of float32",
        "Somewhere the numbers are rounded to 7 digits.",
        "keep the dtype of the logits",
        kind="weakness",
    ),
    Mistake(
        "numpy-changed",
        "functions of NumPy are replaced",
        "Everything else that uses NumPy gets the replacements too.",
        "give your own functions names of their own",
    ),
    Mistake(
        "nan-for-good-logits",
        "NaN for finite logits",
        "Finite logits have a finite loss and gradient.",
        "subtract the maximum of each row; never multiply 0 by log 0",
    ),
]
