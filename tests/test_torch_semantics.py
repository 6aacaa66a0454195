"""The cases of truth/semantics.json on tensors, and PyTorch's own samples.

The kernels give a tensor the same bits as an array, which test_semantics.py compares with the
truth. The formula in PyTorch's operations, for devices without a kernel, gives the same numbers up
to its rounding; here it runs on the CPU.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.semantics import CASES, ERRORS, in_each_dtype, run, torch_error
from truth.cases import Case, arguments, wants_error

import softmaxloss

torch = pytest.importorskip("torch")

from tests.without_kernels import use_formula  # noqa: E402

from softmaxloss.torch.tensors import as_numpy  # noqa: E402

Array = NDArray[Any]
KERNELS = ["kernel", "formula"]


@pytest.fixture
def on_kernel(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel == "formula":
        use_formula(monkeypatch)


def as_tensor(array: Any) -> Any:
    """The same memory as a tensor; raises where PyTorch has no such tensor."""
    if not isinstance(array, np.ndarray):
        return torch.tensor(array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the memory may be read-only
        if array.dtype.name == "bfloat16":
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)


def has_tensors(case: Case, dtype: str) -> bool:
    logits, target, _ = arguments(case, dtype)
    if any(isinstance(x, np.ma.MaskedArray) for x in (logits, target)):
        return False
    if case.get("options", {}).get("ignore_index") == 2**63:
        return False  # an operator takes int64
    try:
        as_tensor(logits), as_tensor(target)
    except (ValueError, TypeError, RuntimeError):
        return False
    return True


def cases(*, errors: bool) -> list[Any]:
    these = in_each_dtype([case for case in CASES if wants_error(case) == errors])
    return [one for one in these if has_tensors(*one.values)]


def test_most_cases_have_tensors() -> None:
    assert len(cases(errors=False)) + len(cases(errors=True)) > 0.8 * len(in_each_dtype(CASES))


@pytest.mark.usefixtures("on_kernel")
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("case", "dtype"), cases(errors=False))
def test_case(case: Case, dtype: str, kernel: str) -> None:
    logits, target, options = arguments(case, dtype)
    loss, grad = run(case, dtype)
    given = np.array(logits, copy=True)
    z, y = as_tensor(logits), as_tensor(target)
    z.requires_grad_(z.is_floating_point())
    got = softmaxloss.cross_entropy(z, y, **options)
    if z.requires_grad:
        upstream = torch.as_tensor(case.get("grad_output", 1.0), dtype=got.dtype)
        got.backward(upstream.expand(got.shape))
        got_grad = as_numpy(z.grad)
    else:
        got_grad = as_numpy(softmaxloss.cross_entropy_with_grad(z, y, **options)[1])
    got = got.detach().numpy()
    assert got.dtype == loss.dtype
    assert got_grad.shape == grad.shape
    if kernel == "kernel":
        assert got.tobytes() == np.asarray(loss).tobytes()
        assert np.ascontiguousarray(got_grad).tobytes() == np.ascontiguousarray(grad).tobytes()
    else:
        with np.errstate(over="ignore"):  # of the spread of logits at both ends of the range
            tolerance = torch_error(np.asarray(logits, float), options, case, got.dtype.name)
        tolerance = min(tolerance, np.finfo(np.float64).max)
        np.testing.assert_allclose(got, loss, rtol=1e-6, atol=tolerance)
        if z.dtype is torch.bfloat16:
            got_grad, grad = z.grad.float().numpy(), grad.astype(np.float32)
        half = grad.dtype == np.float16 or z.dtype is torch.bfloat16
        np.testing.assert_allclose(got_grad, grad, rtol=2**-7 if half else 1e-6, atol=tolerance)
    np.testing.assert_array_equal(np.asarray(logits), given)


@pytest.mark.usefixtures("on_kernel")
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("case", "dtype"), cases(errors=True))
def test_error(case: Case, dtype: str, kernel: str) -> None:
    logits, target, options = arguments(case, dtype)
    z, y = as_tensor(logits), as_tensor(target)
    for needs_grad in {False, z.is_floating_point()}:
        z.requires_grad_(needs_grad)
        with pytest.raises(ERRORS[case["expect"]["error"]]) as caught:
            softmaxloss.cross_entropy(z, y, **options)
        assert case["expect"]["message"] in str(caught.value)
        assert "\n" not in str(caught.value)


# --- PyTorch's own test cases --------------------------------------------------------------------


def samples_of_pytorch(dtype: Any) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    (info,) = [op for op in op_db if op.name == "nn.functional.cross_entropy"]
    return list(info.sample_inputs("cpu", dtype, requires_grad=True))


# The samples take seconds to load.
@pytest.mark.xdist_group("compile")
@pytest.mark.usefixtures("on_kernel")
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", ["float64", "float32", "bfloat16", "float16"])
def test_the_samples_of_pytorch(name: str, kernel: str) -> None:
    dtype = getattr(torch, name)
    for number, sample in enumerate(samples_of_pytorch(dtype)):
        torch.manual_seed(number)
        z, (target,), options = sample.input, sample.args, dict(sample.kwargs)
        if "weight" in options:  # some of the samples' weights are negative, which has no meaning
            options["weight"] = options["weight"].detach().abs()
        # Half precision is compared with PyTorch in float32, in which the library computes it.
        wide = torch.float64 if name == "float64" else torch.float32
        theirs_options = {
            key: value.to(wide) if key == "weight" else value for key, value in options.items()
        }
        soft = target.is_floating_point()
        theirs_z = z.detach().to(wide).requires_grad_()
        theirs_y = target.detach().to(wide).requires_grad_() if soft else target
        theirs = torch.nn.functional.cross_entropy(theirs_z, theirs_y, **theirs_options)
        ours = softmaxloss.cross_entropy(
            z, target, **options, **({"multi_label": "sum"} if soft else {})
        )
        upstream = torch.rand(theirs.shape, dtype=wide)
        theirs.backward(upstream)
        ours.backward(upstream.to(ours.dtype))
        eps = torch.finfo(wide).eps * 32
        torch.testing.assert_close(ours, theirs, rtol=eps, atol=eps)
        of = torch.finfo(dtype).eps if wide is not dtype else eps
        torch.testing.assert_close(z.grad.to(wide), theirs_z.grad, rtol=of, atol=of)
        if soft and target.requires_grad:
            torch.testing.assert_close(target.grad.to(wide), theirs_y.grad, rtol=of, atol=of)
