"""Every part of PyTorch that is not public and used: that this version has it, and what it says."""

from __future__ import annotations

import inspect
import math
import os
import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.autograd import forward_ad  # noqa: E402
from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402

from softmaxloss.torch import _private  # noqa: E402


def seen_inside(ask: Any) -> tuple[list[bool], Any]:
    """A list, and a function of a tensor that adds to it what `ask` says when it is called."""
    seen: list[bool] = []

    def function(x: Any) -> Any:
        seen.append(ask())
        return (x * x).sum()

    return seen, function


def test_every_hook_is_tested() -> None:
    functions = {name for name, _ in inspect.getmembers(_private, inspect.isfunction)}
    functions -= {"cache", "wraps"}
    text = inspect.getsource(inspect.getmodule(test_every_hook_is_tested))  # type: ignore[arg-type]
    assert {name for name in functions if f"_private.{name}" not in text} == set()


def test_a_recording_is_seen() -> None:
    seen, function = seen_inside(_private.is_recorded)
    x = torch.ones(3)
    function(x)
    torch.jit.trace(function, (x,), check_trace=False)
    make_fx(function)(x)
    assert (seen[0], set(seen[1:])) == (False, {True})


def test_a_trace_is_seen() -> None:
    seen, function = seen_inside(_private.is_traced)
    x = torch.ones(3)
    torch.jit.trace(function, (x,), check_trace=False)
    make_fx(function)(x)
    assert seen == [True, False]


def test_function_transforms_are_seen() -> None:
    seen, function = seen_inside(_private.function_transforms_are_active)
    x = torch.ones(3)
    function(x)
    torch.func.grad(function)(x)
    torch.func.vmap(function)(x[None])
    assert seen == [False, True, True]


def test_forward_mode_is_seen() -> None:
    assert not _private.forward_mode_is_active()
    with forward_ad.dual_level():
        assert _private.forward_mode_is_active()
    assert not _private.forward_mode_is_active()


def test_hooks_on_saved_tensors_are_seen() -> None:
    assert not _private.saved_tensors_are_hooked()
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x):
        assert _private.saved_tensors_are_hooked()
    seen, function = seen_inside(_private.saved_tensors_are_hooked)
    x = torch.ones(3, requires_grad=True)
    torch.utils.checkpoint.checkpoint(function, x, use_reentrant=False)
    assert seen == [True]


def test_apply_records_the_function() -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, factor: float) -> Any:
            return x * factor

        @staticmethod
        def backward(ctx: Any, grad_output: Any) -> Any:
            return grad_output * 2, None

    x = torch.ones(3, requires_grad=True)
    twice = _private.apply_of(Twice)(x, 2.0)
    assert type(twice.grad_fn).__name__ == "TwiceBackward"
    assert torch.autograd.grad(twice.sum(), x)[0].tolist() == [2.0] * 3


def test_tensors_have_an_exchange() -> None:
    """Without it calls on tensors are correct, and slower."""
    assert "dlpack_exchange_api" in repr(_private.exchange_of_tensors())


@pytest.mark.skipif(sys.platform != "linux", reason="the threads are shared on Linux")
def test_the_threads_of_openmp_are_found_and_a_fork_does_without() -> None:
    """Without them calls are correct, and slower after an operation of PyTorch on threads."""
    code = """
import os, torch
from softmaxloss.torch import cross_entropy
from softmaxloss.torch import _private
assert _private.openmp_parallel()
before = len(os.listdir("/proc/self/task"))
torch.set_num_threads(2)
z, y = torch.randn(20000, 100), torch.randint(100, (20000,))
want = cross_entropy(z, y)
threads = len(os.listdir("/proc/self/task"))
assert threads > before, "the pool's thread stays"
z.exp().sum()
assert len(os.listdir("/proc/self/task")) == threads, "PyTorch computes on the same"
child = os.fork()
if not child:
    os._exit(int(not torch.equal(cross_entropy(z, y), want)))
assert os.waitpid(child, 0)[1] == 0
torch.set_num_threads(1)
assert torch.equal(cross_entropy(z, y), want)
"""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment)


def test_a_batch_of_upstream_gradients_is_seen() -> None:
    seen = []

    class Sum(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.sum()

        @staticmethod
        def backward(ctx: Any, grad_output: Any) -> Any:
            seen.append(_private.is_batched(grad_output))
            return grad_output * torch.ones(3)

    x = torch.ones(3, requires_grad=True)
    torch.autograd.grad(Sum.apply(x), x, torch.ones(2), is_grads_batched=True)
    Sum.apply(x).backward()
    assert seen == [True, False]


def test_the_base_of_a_view() -> None:
    x = torch.zeros(2, 3)
    assert _private.base_of(x) is None
    assert _private.base_of(x[0]) is x


def test_a_function_that_is_not_compiled() -> None:
    """Nothing in it is, either; and the compiler is not loaded for it."""
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    inner = _private.not_compiled(lambda x: x.sin().cos())
    compiled = torch.compile(lambda x: inner(x + 1) + 1, backend=counter)
    assert compiled(torch.zeros(1)).item() == pytest.approx(1 + math.cos(math.sin(1.0)))
    assert (counter.frame_count, counter.op_count) == (2, 2)
    program = (
        "import sys, torch; from softmaxloss.torch import _private; "
        "_private.not_compiled(abs)(-1); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_the_version_counts_writes() -> None:
    x = torch.zeros(3)
    before = _private.version_of(x)
    x.add_(1.0)
    assert _private.version_of(x) == before + 1


def test_an_assertion_in_a_graph() -> None:
    def checked(x: Any) -> Any:
        _private.assert_in_graph((x > 0).all(), "not positive")
        return x + 1

    compiled = torch.compile(checked, fullgraph=True, backend="eager")
    assert compiled(torch.ones(1)).item() == 2.0
    with pytest.raises(RuntimeError, match="not positive"):
        compiled(-torch.ones(1))


@pytest.mark.parametrize("bias", [True, False])
def test_the_fast_product_is_the_product(bias: bool) -> None:
    product = _private.fast_product()
    if product is None:
        pytest.skip("this PyTorch has no oneDNN")
    torch.manual_seed(0)
    x, w, b = torch.randn(5, 7), torch.randn(3, 7), torch.randn(3) if bias else None
    want = torch.nn.functional.linear(x.double(), w.double(), None if b is None else b.double())
    torch.testing.assert_close(product(x, w, b).double(), want, rtol=1e-5, atol=1e-5)
