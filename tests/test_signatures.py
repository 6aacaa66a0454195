"""The public signatures spell out the fields of `Options` and `LinearOptions`: the same names, in
the same order, with the same defaults."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import softmaxloss
from softmaxloss.options import LinearOptions, Options

# The parameters that are not options.
ARGUMENTS = {
    *("logits", "input", "target", "weight", "linear_weight", "linear_bias"),
    *("grad_output", "out", "inplace", "return_scores"),
    *("in_features", "num_classes", "bias", "device", "dtype"),
}
FUNCTIONS = {
    "cross_entropy": Options,
    "cross_entropy_with_grad": Options,
    "linear_cross_entropy": LinearOptions,
    "linear_cross_entropy_with_grad": LinearOptions,
}
MODULES = {"CrossEntropyLoss": Options, "LinearCrossEntropyLoss": LinearOptions}


def fields(options: type, *without: str) -> list[tuple[str, Any]]:
    return [(f.name, f.default) for f in dataclasses.fields(options) if f.name not in without]


def options_of(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    """(name, default) of the options of a signature; each must be a keyword."""
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in ARGUMENTS:
            assert parameter.kind is parameter.KEYWORD_ONLY, name
            found.append((name, parameter.default))
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_options(name: str) -> None:
    assert options_of(getattr(softmaxloss, name)) == fields(FUNCTIONS[name])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_on_tensors_has_the_options(name: str) -> None:
    torch = pytest.importorskip("softmaxloss.torch")
    assert options_of(getattr(torch, name)) == fields(FUNCTIONS[name])


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_the_options(name: str) -> None:
    """All but the denominator, which may be another one in every batch: forward() takes it."""
    module = getattr(pytest.importorskip("softmaxloss.torch"), name)
    assert options_of(module) == fields(MODULES[name], "denominator")
    forward = inspect.signature(module.forward).parameters
    assert forward["denominator"].default == Options().denominator


def test_a_difference_is_seen() -> None:
    def missing(z: Any, *, a: int = 1) -> None: ...
    def other_order(z: Any, *, b: int = 2, a: int = 1) -> None: ...
    def other_default(z: Any, *, a: int = 1, b: int = 3) -> None: ...
    def right(logits: Any, *, weight: Any = None, a: int = 1, b: int = 2) -> None: ...

    options = dataclasses.make_dataclass("Options", [("a", int, 1), ("b", int, 2)])
    assert options_of(right) == fields(options)
    for function in (missing, other_order, other_default):
        function.__signature__ = inspect.signature(
            function
        ).replace(  # type: ignore[attr-defined]
            parameters=list(inspect.signature(function).parameters.values())[1:]
        )
        assert options_of(function) != fields(options)
