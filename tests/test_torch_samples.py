"""PyTorch's own samples of the losses, as functions and as modules: the same numbers and
derivatives. The numbers of `cross_entropy` itself are in test_torch_semantics.py.

Its soft targets do not sum to 1, which here takes multi_label="sum"; a negative ignore_index beside
probabilities, an error there, ignores nothing here. Integers in the shape of the logits are one-hot
rows here. Weights may be negative there, of which this takes the absolute value.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
if not hasattr(torch.nn.functional, "linear_cross_entropy"):
    pytest.skip("this PyTorch has no linear_cross_entropy", allow_module_level=True)

from tests.tensors import close  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

import softmaxloss  # noqa: E402
from softmaxloss.torch import (  # noqa: E402
    CrossEntropyLoss,
    LinearCrossEntropyLoss,
    cross_entropy,
    linear_cross_entropy,
)

Case = tuple[tuple[Any, ...], dict[str, Any]]
OPTIONS = torch.nn.LinearCrossEntropyOptions


@pytest.fixture(scope="module")
def op_db() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db

    return list(op_db)


@pytest.fixture(scope="module")
def opinfos(op_db: list[Any]) -> list[Any]:
    return [op for op in op_db if op.name == "nn.functional.linear_cross_entropy"]


def module_info(name: str) -> Any:
    from torch.testing._internal.common_modules import module_db

    (info,) = (info for info in module_db if info.name == name)
    return info


def cases(opinfos: list[Any], dtype: Any) -> Iterator[Case]:
    for op in opinfos:
        for sample in op.sample_inputs("cpu", dtype, requires_grad=True):
            yield (sample.input, *sample.args), sample.kwargs


#: Loading the samples takes seconds: in one process, once.
pytestmark = pytest.mark.xdist_group("compile")


def leaves(arguments: tuple[Any, ...], options: dict[str, Any]) -> list[Any]:
    tensors = [*arguments, options.get("linear_bias")]
    return [t for t in tensors if t is not None and t.requires_grad]


@pytest.mark.parametrize(("dtype", "first"), [(torch.float32, 0), (torch.float64, 1)])
def test_samples_of_the_function(opinfos: list[Any], dtype: Any, first: int) -> None:
    """Every second sample with one dtype, the others with the other."""
    number = 0
    for arguments, options in itertools.islice(cases(opinfos, dtype), first, None, 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # options that PyTorch cannot follow
            want = F.linear_cross_entropy(*arguments, **options)
        got = linear_cross_entropy(*arguments, multi_label="sum", **options)
        close(got, want)
        inputs = leaves(arguments, options)
        grads = torch.autograd.grad(got.sum(), inputs)
        for mine, other in zip(grads, torch.autograd.grad(want.sum(), inputs), strict=True):
            close(mine, other)
        number += 1
    assert number > 150


def test_wrong_arguments_of_the_function(opinfos: list[Any]) -> None:
    for error in opinfos[0].error_inputs("cpu"):
        sample = error.sample_input
        with pytest.raises(ValueError, match=r" shape |needs class indices"):
            linear_cross_entropy(sample.input, *sample.args, **sample.kwargs)


def test_samples_of_the_module() -> None:
    """One in seven of PyTorch's 857: of every size, reduction and form of target."""
    info = module_info("nn.LinearCrossEntropyLoss")
    samples = info.module_inputs_func(info, "cpu", torch.float64, True, True)[::7]
    for sample in samples:
        args, options = sample.constructor_input.args, sample.constructor_input.kwargs
        theirs = torch.nn.LinearCrossEntropyLoss(*args, **options)
        ours = LinearCrossEntropyLoss(*args, **options, multi_label="sum")
        ours.load_state_dict(theirs.state_dict())
        x, y = sample.forward_input.args
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = theirs(x, y)
        got = ours(x, y)
        close(got, want, equal_nan=True)
        for mine, other in zip(
            torch.autograd.grad(got.sum(), [x, *ours.parameters()]),
            torch.autograd.grad(want.sum(), [x, *theirs.parameters()]),
            strict=True,
        ):
            close(mine, other)


def test_samples_of_the_module_without_a_layer() -> None:
    info = module_info("nn.CrossEntropyLoss")
    samples = info.module_inputs_func(info, "cpu", torch.float64, True, True)
    assert len(samples) > 50
    for sample in samples:
        options = dict(sample.constructor_input.kwargs)
        if "weight" in options:
            options["weight"] = options["weight"].abs()
        z, y = sample.forward_input.args
        ours, theirs = CrossEntropyLoss(**options), torch.nn.CrossEntropyLoss(**options)
        got, want = ours(z, y), theirs(z, y)
        close(got, want, equal_nan=True)
        inputs = [t for t in (z, y) if t.requires_grad]
        grads = torch.autograd.grad(got.sum(), inputs)
        for mine, other in zip(grads, torch.autograd.grad(want.sum(), inputs), strict=True):
            close(mine, other)


@pytest.mark.parametrize("module", [CrossEntropyLoss, LinearCrossEntropyLoss])
def test_wrong_arguments_of_the_modules(module: Any) -> None:
    info = module_info(f"nn.{module.__name__}")
    number = 0
    for error in info.module_error_inputs_func(info, "cpu", torch.float64, False, True):
        given = error.module_error_input
        if "Expected floating point type" in error.error_regex:
            continue  # one-hot rows
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            module(*given.constructor_input.args, **given.constructor_input.kwargs)(
                *given.forward_input.args
            )
        number += 1
    assert number >= 4


def of_leaves(
    function: Any, arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Any, list[Any]]:
    """The function of those tensors alone that require a gradient, and these tensors."""
    bias = options.pop("linear_bias", None)
    tensors = [*arguments, bias]
    places = [i for i, t in enumerate(tensors) if t is not None and t.requires_grad]

    def call(*inputs: Any) -> Any:
        given = list(tensors)
        for place, tensor in zip(places, inputs, strict=True):
            given[place] = tensor
        more = {} if bias is None else {"linear_bias": given[-1]}
        return function(*given[:-1], multi_label="sum", **more, **options)

    return call, [tensors[place] for place in places]


@pytest.mark.parametrize(
    ("name", "step", "fast"), [("cross_entropy", 1, False), ("linear_cross_entropy", 7, True)]
)
def test_every_kind_of_derivative(op_db: list[Any], name: str, step: int, fast: bool) -> None:
    """First and second derivatives against differences, in reverse and in forward mode, of batches
    of upstream gradients and under vmap."""
    torch.manual_seed(0)
    function = {"cross_entropy": cross_entropy, "linear_cross_entropy": linear_cross_entropy}[name]
    op = next(op for op in op_db if op.name == f"nn.functional.{name}")
    samples = list(op.sample_inputs("cpu", torch.float64, requires_grad=True))[::step]
    for sample in samples:
        options = dict(sample.kwargs)
        if options.get("weight") is not None:
            options["weight"] = options["weight"].abs().detach()
        call, inputs = of_leaves(function, (sample.input, *sample.args), options)
        # A second backward pass of the linear loss computes the same with other roundings.
        assert torch.autograd.gradcheck(
            call,
            inputs,
            check_forward_ad=True,
            check_batched_grad=True,
            nondet_tol=1e-12,
            fast_mode=fast,
        )
        assert torch.autograd.gradgradcheck(call, inputs, nondet_tol=1e-12, fast_mode=fast)
        stacked = [torch.stack([t, 2 * t.clamp(min=0)]).detach() for t in inputs]
        stacked[1:] = [torch.stack([t, t]).detach() for t in inputs[1:]]
        mapped = torch.func.vmap(call)(*stacked)
        for i in range(2):
            close(mapped[i], call(*(t[i] for t in stacked)), equal_nan=True)
        place = tuple(range(len(inputs)))
        jacobian = torch.func.jacrev(call, place)
        nested = torch.func.vmap(jacobian)(*stacked)
        forward = torch.func.vmap(torch.func.jacfwd(call, place))(*stacked)
        for one, two in zip(nested, forward, strict=True):
            close(one, two)
    assert len(samples) > 15


def test_attributes_and_text_of_the_module() -> None:
    given: dict[str, Any] = {"out_features": (3, 2), "bias": True, "label_smoothing": 0.1}
    ours = LinearCrossEntropyLoss(5, 4, **given, ignore_index=None, options=OPTIONS())
    theirs = torch.nn.LinearCrossEntropyLoss(5, 4, **given, options=OPTIONS())
    for name in ("num_classes", "out_features", "reduction", "label_smoothing", "options"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert {n: p.shape for n, p in ours.named_parameters()} == {
        n: p.shape for n, p in theirs.named_parameters()
    }
    assert repr(ours).splitlines()[0] == ("LinearCrossEntropyLoss(")
    assert (
        "in_features=5, num_classes=4, out_features=(3, 2), bias=True, label_smoothing=0.1"
        in repr(ours)
    )


def test_what_a_module_refuses_when_it_is_made() -> None:
    with pytest.raises(softmaxloss.OptionError, match=r"^weight has shape \(3,\); 2 classes need"):
        LinearCrossEntropyLoss(3, 2, weight=torch.ones(3))
    with pytest.raises(softmaxloss.OptionError, match="label_smoothing"):
        LinearCrossEntropyLoss(3, 2, label_smoothing=2.0)
    for made in (
        LinearCrossEntropyLoss,
        lambda *_, **o: linear_cross_entropy(None, None, None, **o),
    ):  # type: ignore[arg-type]
        with pytest.raises(
            TypeError, match=r"^options must be a LinearCrossEntropyOptions or None"
        ):
            made(3, 2, options={"batch_chunk_size": 2})


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_layers_with_every_option(reduction: Any) -> None:
    """Against cross_entropy of all logits."""
    torch.manual_seed(0)
    x, W, b = torch.randn(6, 5), torch.randn(4, 3, 2, 5), torch.randn(4, 3, 2)
    y, s, w = torch.randint(4, (6, 3, 2)), torch.rand(6, 3, 2), torch.rand(4)
    y[0], y[2, 1] = -100, -100
    z = torch.einsum("nf,cijf->ncij", x, W) + b
    options: dict[str, Any] = {"weight": w, "label_smoothing": 0.1, "reduction": reduction}
    for samples in (None, s, s[:, 0, 0]):
        want = softmaxloss.cross_entropy(z, y, sample_weight=samples, **options)
        got, scores = linear_cross_entropy(
            x, W, y, linear_bias=b, sample_weight=samples, **options, return_scores=True
        )
        close(got, want)
        options_of_score = {"weight": w, "label_smoothing": 0.1}
        wanted = softmaxloss.score(z, y, sample_weight=samples, **options_of_score)
        for mine, other in zip(scores, wanted, strict=True):
            close(mine, other)
    if reduction == "mean":
        close(
            linear_cross_entropy(x, W, y, denominator=9),
            linear_cross_entropy(x, W, y, reduction="sum") / 9,
        )
        nothing = linear_cross_entropy(x.requires_grad_(), W, torch.full_like(y, -100))
        assert nothing.isnan()
        assert not torch.autograd.grad(nothing, x)[0].any()
