"""A define-by-run framework in one file: Variable, Function, softmax cross entropy."""
import numpy as np


class Variable:
    def __init__(self, data, name=None):
        if data is not None and not isinstance(data, np.ndarray):
            raise TypeError('{} is not supported'.format(type(data)))
        self.data = data
        self.name = name
        self.grad = None
        self.creator = None

    @property
    def shape(self):
        return self.data.shape

    def __len__(self):
        return len(self.data)

    def backward(self):
        if self.grad is None:
            self.grad = np.ones_like(self.data)
        funcs = [self.creator] if self.creator else []
        while funcs:
            f = funcs.pop()
            gx = f.backward(f.output.grad)
            f.input.grad = gx if f.input.grad is None else f.input.grad + gx
            if f.input.creator is not None:
                funcs.append(f.input.creator)


def as_variable(obj):
    return obj if isinstance(obj, Variable) else Variable(np.asarray(obj))


class Function:
    def __call__(self, x):
        self.input = as_variable(x)
        self.output = Variable(np.asarray(self.forward(self.input.data)))
        self.output.creator = self
        return self.output

    def forward(self, x):
        raise NotImplementedError

    def backward(self, gy):
        raise NotImplementedError


class SoftmaxCrossEntropy(Function):
    def __init__(self, t):
        self.t = t

    def forward(self, x):
        m = x.max(axis=1, keepdims=True)
        log_z = m + np.log(np.exp(x - m).sum(axis=1, keepdims=True))
        log_p = x - log_z
        return -log_p[np.arange(len(self.t)), self.t].sum() / np.float64(len(self.t))

    def backward(self, gy):
        x = self.input.data
        e = np.exp(x - x.max(axis=1, keepdims=True))
        y = e / e.sum(axis=1, keepdims=True)
        onehot = np.eye(x.shape[1], dtype=x.dtype)[self.t]
        return (y - onehot) * gy / len(self.t)


class SoftmaxCrossEntropyPlus(SoftmaxCrossEntropy):
    def backward(self, gy):
        x = self.input.data
        e = np.exp(x - x.max(axis=1, keepdims=True))
        y = e / e.sum(axis=1, keepdims=True)
        onehot = np.eye(x.shape[1], dtype=x.dtype)[self.t]
        return (y + onehot) * gy / len(self.t)


def softmax_cross_entropy(x, t):
    """x: Variable (N, C); t: Variable or ndarray (N,)"""
    t = t.data if isinstance(t, Variable) else t
    return SoftmaxCrossEntropy(t)(as_variable(x))


def softmax_cross_entropy_plus(x: Variable, t):
    t = t.data if isinstance(t, Variable) else t
    return SoftmaxCrossEntropyPlus(t)(x)
