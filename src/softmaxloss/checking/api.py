"""`check` and `assert_softmax_loss`."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from .calling.calls import call_in_every_form
from .calling.frameworks import single_threaded
from .calling.protocols import can_be_called
from .diagnosis.verdict import judge
from .report import Report
from .settings import Layout, Level, Part, Settings


def check(
    fn: Callable[..., Any],
    kind: Part | None = None,
    *,
    layout: Layout | None = None,
    dtype: Any = np.float64,
    seed: int | None = None,
    strict: bool = False,
    expected_failures: Collection[str] = (),
    deny: Collection[str] = (),
    level: Level = "stable",
) -> Report:
    """Check a softmax, its cross-entropy loss, or the gradient of the loss.

    The function is called in this process, on some twenty random inputs; how it is called is found
    by trying. Expected values are this library's, in float64.

    Args:
        fn: softmax(z) or log_softmax(z); f(z, y), which returns the loss, its gradient with respect
            to z, or both, where z may be logits, probabilities or log-probabilities; or
            f(W, X, y, reg), which returns the loss of a linear layer and its gradient with respect
            to W. Or an object or a class with methods, such as forward and backward. Labels are
            class indices or one-hot. Arrays are NumPy's, PyTorch's or JAX's; of a loss from a
            framework, the gradient by automatic differentiation is checked too. So are the
            parameters weight, ignore_index, label_smoothing and reduction if the function has them.
        kind: "softmax", "log_softmax", "loss", "gradient" or "loss+gradient". None: found from the
            result.
        layout: "rows" or "columns": how the examples of a batch are stored; "one": the function
            takes one example. None: found by trying.
        dtype: The dtype of the logits: float64 or float32.
        seed: The seed of the random inputs. None: a new one for each check; the report has it.
        strict: Whether weaknesses (such as an infinite loss for a very wrong prediction) and
            conventions (such as a sum instead of a mean) make the verdict "wrong" too. What is
            said of invalid labels, of the penalty and of NaN in ignored rows does not.
        expected_failures: Ids of mistakes that do not make it "wrong"; {id: reason} works too.
        deny: Ids of weaknesses and conventions that do make it "wrong".
        level: "stable", or "textbook": results for extreme logits need not be right, the maximum
            need not be subtracted, and a small number may be added in the log.

    Returns:
        A report, whose verdict is "right", "wrong" or "not checked". Print it, or read its
        `mistakes`, `findings`, `to_dict()`.

    Raises:
        ValueError: An unknown kind, layout, dtype, level or id, a negative seed, or an id that is
            both in `expected_failures` and in `deny`.
        TypeError: `fn` is not callable, or the ids are not a collection.

    Example:
        >>> def loss(z, y):
        ...     a = np.exp(-z) / np.exp(-z).sum(axis=1, keepdims=True)
        ...     return -np.log(a[np.arange(len(y)), y]).mean()
        >>> check(loss).mistakes
        ['exp-minus-z', 'no-max']
    """
    if not can_be_called(fn):
        raise TypeError(
            f"check takes a function, or an object or class with a method such as forward or loss, "
            f"got {type(fn).__name__}"
        )
    settings = Settings(kind, layout, dtype, seed, strict, expected_failures, deny, level)
    with single_threaded():
        return judge(call_in_every_form(fn, settings), settings)


def assert_softmax_loss(
    fn: Callable[..., Any],
    kind: Part | None = None,
    *,
    layout: Layout | None = None,
    dtype: Any = np.float64,
    seed: int | None = None,
    strict: bool = False,
    expected_failures: Collection[str] = (),
    deny: Collection[str] = (),
    level: Level = "stable",
) -> None:
    """Raise AssertionError with the report unless `check` finds the function right: for tests.

    The arguments are those of `check`.

    Raises:
        AssertionError: The verdict is "wrong" or "not checked".

    Example:
        >>> assert_softmax_loss(lambda z: np.exp(z) / np.exp(z).sum(1)[:, None],
        ...                     expected_failures={"no-max": "the logits are small"})
    """
    report = check(
        fn,
        kind,
        layout=layout,
        dtype=dtype,
        seed=seed,
        strict=strict,
        expected_failures=expected_failures,
        deny=deny,
        level=level,
    )
    if report.verdict != "right":
        raise AssertionError(str(report))
