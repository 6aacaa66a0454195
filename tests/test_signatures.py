"""The public signatures spell out the fields of `Options` and `LinearOptions`: the same names, in
the same order, with the same defaults."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import softmaxloss
from softmaxloss import options
from softmaxloss.options import Options

# The parameters that are not options.
ARGUMENTS = {
    *("logits", "input", "target", "weight", "sample_weight", "linear_weight", "linear_bias"),
    *("grad_output", "out", "inplace", "return_scores", "return_z_loss", "class_group"),
    *("in_features", "num_classes", "out_features", "bias", "device", "dtype", "options"),
}
FUNCTIONS = {
    "cross_entropy": "Options",
    "cross_entropy_with_grad": "Options",
    "linear_cross_entropy": "LinearOptions",
    "linear_cross_entropy_with_grad": "LinearOptions",
}
MODULES = {"CrossEntropyLoss": "Options", "LinearCrossEntropyLoss": "LinearOptions"}


def fields(kind: str | type, *without: str) -> list[tuple[str, Any]]:
    """(name, default) of the fields of a class of options, which may be given by its name."""
    fields = dataclasses.fields(getattr(options, kind) if isinstance(kind, str) else kind)
    return [(field.name, field.default) for field in fields if field.name not in without]


def options_of(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    """(name, default) of the options in a signature; each must be keyword-only."""
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in ARGUMENTS or parameter.kind is parameter.VAR_KEYWORD:
            assert parameter.kind is parameter.KEYWORD_ONLY, name
            found.append((name, parameter.default))
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_options_in_order(name: str) -> None:
    assert options_of(getattr(softmaxloss, name)) == fields(FUNCTIONS[name])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_on_tensors_has_the_options_in_order(name: str) -> None:
    torch = pytest.importorskip("softmaxloss.torch")
    assert options_of(getattr(torch, name)) == fields(FUNCTIONS[name])


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_the_options_in_order(name: str) -> None:
    """All but the denominator, which may be another one in every batch: forward() takes it."""
    module = getattr(pytest.importorskip("softmaxloss.torch"), name)
    assert options_of(module) == fields(MODULES[name], "denominator")
    forward = inspect.signature(module.forward).parameters
    assert forward["denominator"].default == Options().denominator


def right(logits: Any, *, weight: Any = None, a: int = 1, b: int = 2) -> None: ...
def one_missing(logits: Any, *, a: int = 1) -> None: ...
def another_order(logits: Any, *, b: int = 2, a: int = 1) -> None: ...
def another_default(logits: Any, *, a: int = 1, b: int = 3) -> None: ...
def one_more(logits: Any, *, a: int = 1, b: int = 2, c: int = 3) -> None: ...
def keywords(logits: Any, **options: Any) -> None: ...
def positional(logits: Any, a: int = 1, *, b: int = 2) -> None: ...


KIND = dataclasses.make_dataclass("Kind", [("a", int, 1), ("b", int, 2)])


def test_a_right_signature_passes() -> None:
    assert options_of(right) == fields(KIND)


@pytest.mark.parametrize("function", [one_missing, another_order, another_default, one_more])
def test_a_wrong_signature_fails(function: Callable[..., Any]) -> None:
    assert options_of(function) != fields(KIND)


@pytest.mark.parametrize("function", [keywords, positional])
def test_options_must_be_spelled_out_as_keywords(function: Callable[..., Any]) -> None:
    with pytest.raises(AssertionError):
        options_of(function)


@pytest.mark.parametrize("package", ["softmaxloss", "softmaxloss.torch", "softmaxloss.parallel"])
def test_score_has_the_options_that_change_a_score(package: str) -> None:
    names = [name for name, _ in fields("Options", "reduction", "denominator")]
    assert list(options.SCORE_OPTIONS) == names
    found = options_of(pytest.importorskip(package).score)
    assert found == fields("Options", "reduction", "denominator")
