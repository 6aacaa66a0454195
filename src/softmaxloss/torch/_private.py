"""Every part of PyTorch that is used here and is not public. tests/test_torch_private.py covers it.

When a new version of PyTorch changes one of them, this is the file to change.
"""

import re
import sys
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

Function = TypeVar("Function", bound=Callable[..., Any])


def is_recorded() -> bool:
    """Whether operations are recorded instead of computed: by torch.jit.trace, or by a mode that
    intercepts every operation, as torch.export and fake tensors do."""
    return _modes() != 0 or is_traced()


def is_traced() -> bool:
    """Whether torch.jit.trace records the call."""
    tracing: bool = _is_tracing()
    return tracing


# Asked in every call.
_modes, _is_tracing = torch._C._len_torch_dispatch_stack, torch._C._is_tracing


def function_transforms_are_active() -> bool:
    """Whether the call is inside torch.func: vmap, grad, jvp and others."""
    active: bool = torch._C._are_functorch_transforms_active()
    return active


def forward_mode_is_active() -> bool:
    """Whether forward-mode derivatives are computed."""
    return forward_ad._current_level >= 0


def apply_of(function: type[torch.autograd.Function]) -> Callable[..., Any]:
    """The function's `apply`, without the preparations for torch.func, which take 1.4 µs. Only
    where no function transforms are active."""
    apply: Callable[..., Any] = super(torch.autograd.Function, function).apply  # type: ignore[misc]
    return apply


def openmp_parallel() -> int | None:
    """The address of GOMP_parallel in the OpenMP runtime that PyTorch brings along; None where it
    brings none, or is not on Linux. Every OpenMP runtime there has the function."""
    lib = Path(torch.__file__).parent
    folders = (str(lib), str(lib.with_name("torch.libs")))
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    loaded = dict.fromkeys(line.split(maxsplit=5)[5] for line in lines if "omp" in line)
    for path in loaded:
        if path.startswith(folders) and re.match(r"lib(g|i)?omp", Path(path).name):
            import ctypes

            try:
                return ctypes.cast(ctypes.CDLL(path).GOMP_parallel, ctypes.c_void_p).value
            except (OSError, AttributeError):
                continue
    return None


def exchange_of_tensors() -> Any | None:
    """How C++ reads a tensor's shape and memory: the C exchange API of DLPack, in a capsule. None
    where this PyTorch has none."""
    return getattr(Tensor, "__dlpack_c_exchange_api__", None)


def is_batched(tensor: Tensor) -> bool:
    """Whether the tensor stands for several, as under is_grads_batched=True."""
    key = torch._C._parse_dispatch_key("Batched")
    return key is not None and torch._C._dispatch_keys(tensor).has(key)


def saved_tensors_are_hooked() -> bool:
    """Whether hooks see what autograd saves, as under activation checkpointing. They see what an
    operator saves, and not what an autograd function keeps for itself."""
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def base_of(tensor: Tensor) -> Tensor | None:
    """The tensor that this one is a view of; None if it is no view."""
    base: Tensor | None = tensor._base
    return base


def not_compiled(function: Function) -> Function:
    """The function, which torch.compile leaves as it is: its graph ends before the call and begins
    anew after it. This is torch.compiler.disable, for which the compiler is loaded, which takes
    seconds; here it is used only where it is loaded already."""
    disabled = cache(torch.compiler.disable)

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        loaded = "torch._dynamo" in sys.modules
        return (disabled(function) if loaded else function)(*arguments, **options)

    call._torchdynamo_disable = True  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def version_of(tensor: Tensor) -> int:
    """How often the tensor's memory was written to, as autograd counts it."""
    version: int = tensor._version
    return version


def assert_in_graph(condition: Tensor, message: str) -> None:
    """An assertion on a value that is not known before a compiled graph runs."""
    torch._assert_async(condition, message)


@cache
def fast_product() -> Any | None:
    """oneDNN's x·wᵀ + b for float32, f(x, w, b); None where this PyTorch has none.

    For few rows it is two to three times as fast as the BLAS that torch.mm calls, with the same
    rounding.
    """
    try:
        linear = torch.ops.mkldnn._linear_pointwise
        one = torch.ones(1, 1)
        if linear(one, one, one[0], "none", [], "").item() != 2.0:
            return None
    except (AttributeError, RuntimeError, NotImplementedError):
        return None
    return lambda x, w, b=None: linear(x, w, b, "none", [], "")
