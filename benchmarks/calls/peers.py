"""The peers of the calls that people make: PyTorch, and this library on tensors and on arrays.

Each call is source code, `Option.expression`: what is measured is what is written. For PyTorch and
for this library on tensors it is the same code, with `cross_entropy` from one or the other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np

from ..cases import Array
from ..peers import Peer, Timed
from .cases import OPTIONS, Call, buffer, data, forget


class OfCalls(Peer):
    cases = Call
    #: whether it is this library, which also measures what its calls are compared with
    ours: ClassVar[bool] = False

    @classmethod
    def takes(cls, case: Any, what: str) -> bool:
        return what in cls.whats and (cls.ours or not case.reference)

    def free(self) -> None:
        forget()


class LibraryOnArrays(OfCalls):
    """This library on NumPy's arrays; the gradient goes to memory that the caller has."""

    title = "this library, NumPy"
    whats = ("buffer",)
    ours = True

    def __init__(self, threads: int) -> None:
        import softmaxloss
        from softmaxloss import kernels

        softmaxloss.set_num_threads(threads)
        self.version = f"{softmaxloss.__version__} ({kernels.level()})"

    def prepare(self, case: Call, what: str) -> Timed:
        from softmaxloss import cross_entropy_with_grad

        x, y, w, s = data(case)
        arguments = ", ".join(filter(None, ["x, y", OPTIONS[case.option].arguments, "out=g"]))
        names = {
            "cross_entropy_with_grad": cross_entropy_with_grad,
            "x": x,
            "y": y if case.targets else int(y),
            "w": w,
            "s": s,
            "g": buffer(case.logits, case.dtype, case.layout),
        }
        timed: Timed = eval(f"lambda: cross_entropy_with_grad({arguments})[0]", names)
        return timed


class OnTensors(OfCalls):
    """A function that is called as torch.nn.functional.cross_entropy is."""

    whats = ("autograd", "loss")

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.version = torch.__version__

    def context(self, what: str) -> AbstractContextManager[Any]:
        import torch

        return nullcontext() if what == "autograd" else torch.no_grad()

    def prepare(self, case: Call, what: str) -> Timed:
        x, y, w, s = (tensor(array) for array in data(case))
        loss_of = self.loss(case)
        if what == "loss":
            return lambda: loss_of(x, y, w, s)
        x.requires_grad_()

        def both() -> Any:
            loss = loss_of(x, y, w, s)
            loss.backward()
            x.grad = None  # or the next call would add to it
            return loss

        return both

    def loss(self, case: Call) -> Callable[..., Any]:
        """The function of x, y, w, s that a user would write."""
        import torch

        option = OPTIONS[case.option].otherwise or OPTIONS[case.option]
        return written(option.expression(), torch.nn.functional.cross_entropy)


def written(expression: str, cross_entropy: Callable[..., Any]) -> Callable[..., Any]:
    """A function of x, y, w, s, with code of its own: torch.compile keeps what it compiled by
    code, and would look through all calls that share one."""
    function: Callable[..., Any] = eval(
        f"lambda x, y, w, s: {expression}", {"cross_entropy": cross_entropy}
    )
    return function


def tensor(array: Array) -> Any:
    """A tensor of its own in the array's memory."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


class Library(OnTensors):
    title = "this library"
    whats = ("autograd", "loss", "score")
    ours = True

    def __init__(self, threads: int) -> None:
        import softmaxloss
        from softmaxloss import kernels

        super().__init__(threads)
        softmaxloss.set_num_threads(threads)
        self.version = f"{softmaxloss.__version__} ({kernels.level()})"

    def prepare(self, case: Call, what: str) -> Timed:
        if what != "score":
            return super().prepare(case, what)
        from softmaxloss.torch import score

        x, y, _, _ = (tensor(array) for array in data(case))
        return lambda: score(x, y).loss

    def loss(self, case: Call) -> Callable[..., Any]:
        from softmaxloss.torch import cross_entropy

        return written(OPTIONS[case.option].expression(), cross_entropy)


class Torch(OnTensors):
    title = "torch"


class TorchCompile(OnTensors):
    title = "torch.compile"

    def loss(self, case: Call) -> Callable[..., Any]:
        import torch

        return torch.compile(super().loss(case), dynamic=False)

    def free(self) -> None:
        import torch

        torch._dynamo.reset()
        super().free()


#: name on the command line → peer, in the order of their turns and of the tables' columns
PEERS: dict[str, type[OfCalls]] = {
    "tensors": Library,
    "library": LibraryOnArrays,
    "torch": Torch,
    "compile": TorchCompile,
}
OURS = ("tensors", "library")
RIVALS = ("torch", "compile")
