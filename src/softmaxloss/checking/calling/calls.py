"""Calling a function in the forms in which it may be meant to be called.

Nothing is judged here: in a process of its own, the function cannot reach what judges it.
"""

import os
import pickle
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..inputs import Input, inputs_for, option_inputs
from ..reference import Results
from ..settings import Settings
from .behaviour import watch
from .codes import (
    AXES,
    fixed_classes,
    has_loops,
    has_words_of_loss,
    speaks_of_batches,
    transposes,
    words_of_batches,
)
from .extras import backward_of, with_mask
from .forms import Form, forms_of, option_names
from .frameworks import Differentiated
from .nodes import own_backward
from .packed import Way
from .roles import Told, has_labels_of_many, told_by_names
from .trials import (
    BY_PLACE,
    FINITE,
    RIGHT,
    Callee,
    Outcome,
    Trial,
    call_once,
    callee_for,
    no_warnings,
    outcome_of,
    takes_only_single,
    try_form,
)
from .whole import whole_of
from .wording import Wording

MOST_RIGHT = 2  # forms that look right and are called on all inputs
MOST_WRONG = 6  # others
MOST_LIKELY = 3  # others, before the unlikely forms are tried
MOST_IF_SLOW = 2
SHAPE = re.compile(r"\([\d, ]+\)")  # in the errors of NumPy
# Errors of code that takes a matrix of rows, where it is passed a vector.
NO_AXIS = re.compile(r"^AxisError|too many indices|^IndexError: tuple index out of range")
MOST_FIXED = 2  # numbers of classes that may be written in the code
MOST_PROBLEMS = 6  # forms that could not be called and are reported
IGNORED = "ignore_index, -100"  # the input with a label to ignore that is no class
SLOW = 0.01  # seconds for the ordinary input, from which on the large inputs are smaller


class Attempt(NamedTuple):
    """What a function returned in one form."""

    form: Form
    results: list[Results]  # for each plain input
    problem: str | None = None  # the first error that it raised
    problems: Sequence[str | None] = ()  # the error for each plain input, or None
    loops: bool = False  # whether its code has loops
    behaviour: Sequence[str] = ()  # ids of mistakes such as writing to the arguments
    with_options: Mapping[str, Outcome] = {}  # for the other inputs that are allowed, by name
    differentiated: bool = False  # whether the gradient is from automatic differentiation,
    gradient_of_loss: bool = False  # and if so, whether it is the slope of the loss as returned
    left_out: tuple[str, ...] = ()  # the inputs for which it raised an error that is explained
    title: str = ""  # what the function is called
    wording: Wording = Wording()  # what its text says
    told: Told = "nothing"  # what its name and those of its parameters say of this call
    has_words: bool = True  # whether its code has an exponential or a logarithm
    small: bool = False  # whether the large inputs were smaller, because the function is slow
    not_called: tuple[str, ...] = ()  # the methods for a gradient that were not checked, and why
    aside: bool = False  # whether its code has words of a batch, and this is of one example

    @property
    def raised(self) -> int:
        """On how many inputs there is no result."""
        return sum(all(part is None for part in result) for result in self.results)


def call_in_every_form(target: Any, settings: Settings) -> Iterator[Attempt]:
    """The attempts to call something, the likeliest form first.

    Each form is tried on small inputs. One that looks right is called on all inputs at once, the
    others only if none does.
    """
    search = _Search(target, settings)
    first: Form | None = None
    likely = True
    for form, way in forms_of(target, settings):
        first = first or form
        if likely and not form.resembles(first):
            # The other forms, if they were not meant, may not even return.
            likely = False
            if not search.right:
                yield from search.attempts(MOST_LIKELY)
        if search.should_try(form, way):
            yield from search.try_form(form, way, likely=likely)
        if search.right == MOST_RIGHT:
            return
    if not search.right and not search.fits:
        in_code = fixed_classes(target)[:MOST_FIXED]
        for classes in dict.fromkeys(in_code + search.sizes_said()):
            fixed = _Search(target, settings)
            for form, way in forms_of(target, settings):
                if fixed.right < MOST_RIGHT and fixed.should_try(form, way):
                    yield from fixed.try_form(replace(form, classes=classes), way)
            if fixed.right:
                return
            if classes in in_code:  # what an error names may be another size
                yield from fixed.attempts(MOST_LIKELY)
    if not search.right:
        yield from search.attempts(MOST_WRONG)
        yield from search.of_one_example()
        whole = whole_of(target)
        if whole is not None:
            yield Attempt(first or Form(), [], whole)
        yield from search.failures()


class _Search:
    """What is known of the forms that were tried."""

    def __init__(self, target: Any, settings: Settings) -> None:
        self.right = 0  # forms that look right
        self.fits = False  # whether a likely form raised no error
        self._target, self._settings = target, settings
        self._before = _process_state()
        self._callee: Callee | None = None  # of the way that is being tried
        self._others: list[tuple[int, Trial, Callee]] = []  # with their score
        self._called: list[Trial] = []
        self._problems: list[tuple[Form, str]] = []
        self._aside: list[tuple[Form, Way]] = []  # of one example, where a batch has a result
        self._readable: set[tuple[Any, ...]] = set()
        self._with_result: set[tuple[Any, ...]] = set()
        self._transposes = transposes(target)
        self._methods = 1  # that are called in the most complete way that gives something
        # Where a batch has a result and the code has the words of one, one example was not meant.
        self._words: set[str] = set()
        self._says_batch = self._labels_of_many = False
        if settings.layout != "one":
            self._words = words_of_batches(target)
            self._says_batch = speaks_of_batches(target)
            self._labels_of_many = has_labels_of_many(target)

    def should_try(self, form: Form, way: Way) -> bool:
        """Whether the forms that were tried leave this one open."""
        if way.methods < self._methods:
            return False  # the loss alone would hide what is wrong with the gradient
        if form.labels in ("column", "row") and _but_labels(form) in self._readable:
            return False  # where y of shape (N,) works, y[0] of (1, N) is a mistake
        if form.labels == "one-hot across" and not self._transposes:
            return False
        if form.batch:
            return True
        batches = {
            one for one in ("rows", "columns") if (one, *_kind_of(form)) in self._with_result
        }
        if form.layout == "one row" and "rows" in batches:
            return False  # it is a batch of one
        labelled = "labels" in form.order
        if form.layout == "one column" and not labelled and self._takes_vectors_or_batches(form):
            return False
        meant = self._words if labelled else self._words & AXES
        if batches and (meant or self._says_batch or (labelled and self._labels_of_many)):
            self._aside.append((form, way))
            return False
        return True

    def _takes_vectors_or_batches(self, column: Form) -> bool:
        """Whether a vector has a result, or lacks the second axis that is summed over."""
        if ("one", *_kind_of(column)) in self._with_result:
            return True
        problems = [text for form, text in self._problems if form.layout == "one"]
        return any(NO_AXIS.search(text) for text in problems)

    def try_form(self, form: Form, way: Way, *, likely: bool = False) -> Iterator[Attempt]:
        """Try a form; the attempt that follows if it looks right."""
        settings = self._settings
        if self._callee is None or self._callee.way is not way:
            self._callee = callee_for(self._target, way, settings.kind)
        callee = self._callee
        trial = try_form(form, callee, settings.seed, settings.dtype)
        if form.framework == "torch" and takes_only_single(trial.problem):
            trial = try_form(replace(form, single=True), callee, settings.seed, settings.dtype)
        of_batch = likely or form.layout in ("sequences", "images", "heads")
        self.fits = self.fits or (of_batch and trial.problem is None)
        if trial.score is None:
            if trial.problem is not None:
                self._problems.append((form, trial.problem))
            return
        if form.labels == "index" and trial.read > 1:
            self._readable.add(_but_labels(form))
        has_result = "loss" in trial.form.returns or "labels" not in form.order
        if trial.score <= FINITE and (form.takes_matrix or form.layout == "one") and has_result:
            self._with_result.add((form.layout, *_kind_of(form)))
        if trial.score <= FINITE:
            self._methods = max(self._methods, way.methods)
        if trial.score == RIGHT:
            self.right += 1
            yield self._attempt(trial, callee)
        else:
            self._others.append((trial.score, trial, callee))

    def attempts(self, most: int) -> Iterator[Attempt]:
        """The likeliest of the forms that do not look right, called on all inputs."""
        # Stable: the likeliest first among equals.
        others = sorted(self._others, key=lambda one: one[0])
        if others and (others[0][1].seconds > SLOW or others[0][1].form.framework == "jax"):
            most = MOST_IF_SLOW  # JAX compiles for each shape
        for score, trial, callee in others[:most]:
            new = not any(trial is one for one in self._called)
            if new and (score <= FINITE or trial is self._others[0][1]):
                self._called.append(trial)
                yield self._attempt(trial, callee)

    def of_one_example(self) -> Iterator[Attempt]:
        """Of the forms of one example that were put aside, the first that looks right."""
        for form, way in self._aside:
            for attempt in self.try_form(form, way):
                yield attempt._replace(aside=True)
                return

    def _attempt(self, trial: Trial, callee: Callee) -> Attempt:
        """The form of a trial, called on all inputs."""
        attempt = _attempt(trial, callee, self._settings, self._before)
        return attempt._replace(
            has_words=has_words_of_loss(self._target), not_called=self._not_called(callee.way)
        )

    def _not_called(self, way: Way) -> tuple[str, ...]:
        """The methods for a gradient that a way leaves out, each with the error that it raised; not
        those of a base class that have no code."""
        found = []
        for name in way.left_out:
            called = re.compile(rf", {name}(\(|$)")
            problems = [text for form, text in self._problems if called.search(form.protocol)]
            if not any(text.startswith("NotImplementedError") for text in problems):
                found.append(f"{name} ({problems[0]})" if problems else name)
        return tuple(found)

    def sizes_said(self) -> list[int]:
        """The size that errors name the most, where no argument has it: a number of classes that is
        written in code of another module."""
        shapes = [shape for _, problem in self._problems for shape in SHAPE.findall(problem)]
        sizes = Counter(int(size) for shape in shapes for size in re.findall(r"\d+", shape))
        z = inputs_for(False, self._settings.seed, self._settings.dtype)[0].z
        for size in (1, 2, z.size, len(z) + 1, *z.shape):
            del sizes[size]
        return [size for size, count in sizes.most_common(1) if count >= MOST_PROBLEMS]

    def failures(self) -> Iterator[Attempt]:
        """The forms in which nothing could be read, one for each error."""
        seen: set[str] = set()
        for form, problem in self._problems:
            if problem not in seen and len(seen) < MOST_PROBLEMS:
                seen.add(problem)
                yield Attempt(form, [], problem)


def _kind_of(form: Form) -> tuple[str, str]:
    """What a form has in common with those of other layouts."""
    return form.scores, form.protocol


def _but_labels(form: Form) -> tuple[Any, ...]:
    """What forms have in common that differ in their labels only."""
    return form.order, form.layout, form.framework, form.protocol


def _attempt(trial: Trial, callee: Callee, settings: Settings, before: tuple[Any, ...]) -> Attempt:
    """A form that was tried, called on all inputs; `before` are the settings of the process."""
    form = trial.form
    dtype = form.dtype(settings.dtype)
    small = trial.seconds > SLOW or form.framework == "own scalars"
    plain = inputs_for(form.scores != "logits", settings.seed, dtype, small, form.classes)
    others = option_inputs(settings.seed, dtype, form.classes)
    names = option_names(callee.way.signature)
    names |= {BY_PLACE[role]: BY_PLACE[role] for role in form.order if role in BY_PLACE}
    outcomes = [outcome_of(form, callee, input) for input in plain]
    if "mask" not in names and _has_weights_of_examples(form, callee, others, names):
        names["mask"] = names.pop("weight")
    with_options = {
        input.name: outcome_of(form, callee, _renamed(input, names))
        for input in others
        if _applies(input, form, names)
    }
    with no_warnings():  # before backward, which may leave more results in an object
        behaviour = watch(form, callee, plain, [results for results, _ in outcomes], small)
    if callee.ignored is not None and "ignore_index" not in names and _can_ignore(form):
        input = next(one for one in others if one.name == IGNORED)
        y = np.where(input.y < 0, callee.ignored, input.y)
        with_options[IGNORED] = outcome_of(form, callee, input._replace(y=y, options={}))
    for input in others if "labels" not in form.order and not form.classes else ():
        backward = callee.way.backward
        if form.framework == "own" and callee.node is not None:
            backward = own_backward(callee.way.function, callee.node)
        if input.about == "backward" and backward is not None:
            with_options[input.name] = backward_of(form, backward, input)
        elif input.about == "mask of outputs" and {"mask", "left out"} & set(form.order):
            with_options[input.name] = with_mask(form, callee, input)
    with no_warnings():
        differentiated, gradient_of_loss = _differentiation(form, callee)
    with suppress(Exception), no_warnings():
        behaviour += callee.way.beside()
    if _process_state() != before:
        behaviour.append("settings-changed")
    problems = [problem for _, problem in outcomes]
    return Attempt(
        form,
        [results for results, _ in outcomes],
        next(filter(None, problems), None),
        problems,
        loops=has_loops(callee.way.signature),
        behaviour=behaviour,
        with_options=with_options,
        differentiated=differentiated,
        gradient_of_loss=gradient_of_loss,
        title=callee.title,
        wording=callee.wording,
        told=told_by_names(callee.title, callee.way.signature, form.order),
        small=small,
    )


def _can_ignore(form: Form) -> bool:
    """Whether a label can be one to ignore: not where an argument says which examples count."""
    indices = form.labels == "index" and "labels" in form.order and not form.first_label
    told = {"mask", "left out", "lengths"} & set(form.order)
    return form.batch and form.scores == "logits" and indices and not form.is_layer and not told


def _applies(input: Input, form: Form, names: Mapping[str, str]) -> bool:
    """Whether a function in this form, with these options, can be called with the input."""
    if input.about == "temperature":
        return "temperature" in form.order and form.scores == "logits"
    if input.about == "reg" or form.is_layer:
        return input.about == "reg" and "reg" in form.order
    if input.about in ("backward", "mask of outputs"):
        return False  # see extras.py
    if input.about == "mask" and "output mask" in form.order:
        return False
    if input.about == "probability":
        return form.scores == "probabilities" and "labels" in form.order
    if form.first_label and input.about in ("labels", "ignore_index"):
        return False
    plain = form.batch and form.scores == "logits" and "labels" in form.order
    if not plain or set(input.options) - set(names):
        return False
    if input.about in ("upstream", "bfloat16"):
        return form.framework in ("torch", "jax")
    return input.about not in ("ignore_index", "labels") or form.labels == "index"


def _has_weights_of_examples(
    form: Form, callee: Callee, inputs: Sequence[Input], names: Mapping[str, str]
) -> bool:
    """Whether one weight for each class raises an error, and one for each example does not."""

    def raises(about: str) -> bool:
        input = next(one for one in inputs if one.about == about)
        value = input.options[about].astype(input.z.dtype)
        outcome = outcome_of(form, callee, input._replace(options={names["weight"]: value}))
        return outcome[1] is not None

    applies = any(one.about == "weight" and _applies(one, form, names) for one in inputs)
    return applies and raises("weight") and not raises("mask")


def _renamed(input: Input, names: Mapping[str, str]) -> Input:
    """The input for a function with its own names for the options."""
    options = {names[option]: value for option, value in input.options.items()}
    if input.about == "labels" and "ignore_index" in names:
        options[names["ignore_index"]] = -100  # none of the labels is ignored
    return input._replace(options=options)


def _process_state() -> tuple[Any, ...]:
    """The settings of the process that a call should not change."""
    state = pickle.dumps(np.random.get_state(legacy=False))  # noqa: NPY002 - others may use it
    return np.geterr(), np.get_printoptions(), os.getcwd(), state, random.getstate()


def _differentiation(form: Form, callee: Callee) -> tuple[bool, bool]:
    """Whether the gradient is from automatic differentiation, and if so, whether it is the slope of
    the loss as it was returned: by central differences, at one point."""
    manual = form.framework in ("numpy", "lists")
    if manual or form.classes or "labels" not in form.order or form.is_layer or not form.batch:
        return False, False
    z = np.array([[0.5, -1.0, 0.25], [-0.75, 0.125, 1.5]])
    input = Input("", "", z, np.array([2, 0]))
    step = 2.0**-6  # its error is step², a few 1e-4, also in float32: rounding adds 1e-7/step
    slope = np.zeros(z.shape)
    try:
        at = call_once(form, callee, input)
        if not isinstance(at, Differentiated):
            return False, False
        if form.scores != "logits":
            return True, True
        for place in np.ndindex(z.shape):
            aside = np.zeros(z.shape)
            aside[place] = step
            both = [input._replace(z=z + side) for side in (aside, -aside)]
            high, low = (call_once(form, callee, one).loss for one in both)
            slope[place] = np.sum(high - low) / (2 * step)
    except (Exception, SystemExit):
        return False, False
    gradient = at.gradient.T if form.columns else at.gradient.reshape(z.shape)
    return True, bool((abs(gradient - slope) <= 2e-3 * (1 + abs(slope))).all())
