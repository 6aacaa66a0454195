"""A small engine with automatic differentiation."""

import numpy as np


class Tensor:
    def __init__(self, data, parents=(), requires_grad=True):
        self.data = np.asarray(data, np.float64)
        self.parents, self.requires_grad, self.grad = parents, requires_grad, None

    @property
    def shape(self):
        return self.data.shape

    def numpy(self):
        if self.requires_grad:
            raise ValueError("it needs a gradient")
        return self.data

    def __add__(self, other):
        return Tensor(self.data + other.data, [(self, lambda g: g), (other, lambda g: g)])

    def __sub__(self, other):
        return Tensor(self.data - other.data, [(self, lambda g: g), (other, lambda g: -g)])

    def __mul__(self, other):
        by = other.data if isinstance(other, Tensor) else np.asarray(other, np.float64)
        return Tensor(self.data * by, [(self, lambda g: g * by)])

    def __truediv__(self, number):
        return Tensor(self.data / number, [(self, lambda g: g / number)])

    def backward(self, g=None):
        g = np.ones_like(self.data) if g is None else g
        self.grad = g if self.grad is None else self.grad + g
        for parent, rule in self.parents:
            parent.backward(rule(g))


def exp(x):
    e = np.exp(x.data)
    return Tensor(e, [(x, lambda g: g * e)])


def log(x):
    return Tensor(np.log(x.data), [(x, lambda g: g / x.data)])


def summed(x, axis=None):
    def spread(g):
        return np.broadcast_to(g if axis is None else np.expand_dims(g, axis), x.shape)

    return Tensor(x.data.sum(axis=axis), [(x, spread)])
