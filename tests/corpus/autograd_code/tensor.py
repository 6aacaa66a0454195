from typing import List, Optional, Union
import numpy as np

Arrayable = Union[float, list, np.ndarray]


class Tensor:
    """A tensor that remembers how it was made."""

    def __init__(self, data: Arrayable, requires_grad: bool = False, depends_on: Optional[list] = None):
        self.data = np.asarray(data, dtype=np.float64)
        self.requires_grad = requires_grad
        self.depends_on = depends_on or []
        self.grad: Optional['Tensor'] = None
        if requires_grad:
            self.zero_grad()

    @property
    def shape(self):
        return self.data.shape

    def zero_grad(self) -> None:
        self.grad = Tensor(np.zeros_like(self.data))

    def backward(self, grad: Optional['Tensor'] = None) -> None:
        assert self.requires_grad, "called backward on non-requires-grad tensor"
        if grad is None:
            if self.shape == ():
                grad = Tensor(1.0)
            else:
                raise RuntimeError("grad must be specified for non-0-tensor")
        self.grad.data = self.grad.data + grad.data
        for tensor, grad_fn in self.depends_on:
            tensor.backward(Tensor(grad_fn(grad.data)))

    def sum(self) -> 'Tensor':
        deps = [(self, lambda g: g * np.ones_like(self.data))] if self.requires_grad else []
        return Tensor(self.data.sum(), self.requires_grad, deps)


def _labels(y) -> np.ndarray:
    return (y.data if isinstance(y, Tensor) else np.asarray(y)).astype(int)


def softmax_loss(logits: Tensor, y) -> Tensor:
    """Mean softmax loss; logits (N, C), y (N,)"""
    z, y = logits.data, _labels(y)
    m = z.max(axis=1, keepdims=True)
    logp = z - m - np.log(np.exp(z - m).sum(axis=1, keepdims=True))
    n = len(y)

    def grad_fn(g):
        d = np.exp(logp)
        d[np.arange(n), y] -= 1
        return g * d / n

    deps = [(logits, grad_fn)] if logits.requires_grad else []
    return Tensor(-logp[np.arange(n), y].mean(), logits.requires_grad, deps)


def softmax_loss_unscaled(logits: Tensor, y) -> Tensor:
    z, y = logits.data, _labels(y)
    m = z.max(axis=1, keepdims=True)
    logp = z - m - np.log(np.exp(z - m).sum(axis=1, keepdims=True))
    n = len(y)

    def grad_fn(g):
        d = np.exp(logp)
        d[np.arange(n), y] -= 1
        return g * d

    deps = [(logits, grad_fn)] if logits.requires_grad else []
    return Tensor(-logp[np.arange(n), y].mean(), logits.requires_grad, deps)
