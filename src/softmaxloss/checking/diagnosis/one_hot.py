"""One-hot labels with y.max() + 1 columns: an error where no example has the last class."""

from ..calling.calls import Attempt
from ..calling.forms import ONE_HOT
from ..inputs import inputs_for
from ..settings import Settings
from .mistakes import is_arithmetic


def without_missing_classes(attempt: Attempt, settings: Settings) -> Attempt:
    """Without the inputs on which one-hot labels of y.max() + 1 columns raise an error.

    There no example has the last class. Where all have class 0, one column fits any number.
    """
    form = attempt.form
    if not form.batch or form.labels in ONE_HOT or "labels" not in form.order:
        return attempt
    scores, dtype = form.scores, form.dtype(settings.dtype)
    inputs = inputs_for(scores != "logits", settings.seed, dtype, attempt.small, form.classes)
    if len(inputs) != len(attempt.results):
        return attempt
    raised = {
        input.name
        for input, problem in zip(inputs, attempt.problems, strict=True)
        if problem is not None and not is_arithmetic(problem)
    }
    missing = {
        input.name: input.y.max() for input in inputs if input.y.max() < input.z.shape[1] - 1
    }
    if not raised or raised != {name for name, largest in missing.items() if largest}:
        return attempt
    kept = [k for k, input in enumerate(inputs) if input.name not in missing]
    return attempt._replace(
        results=[attempt.results[k] for k in kept],
        problems=[attempt.problems[k] for k in kept],
        problem=None,
        left_out=tuple(missing),
        behaviour=[*attempt.behaviour, "one-hot-from-the-labels"],
    )
