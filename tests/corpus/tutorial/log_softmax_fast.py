import numpy as np


def logsumexp(x):
    m = x.max(-1)
    return m + np.log(np.exp(x - m[:, None]).sum(-1))


def log_softmax(x): return x - logsumexp(x)[:, None]


def log_softmax_no_max(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def log_softmax_all(x):
    x = x - x.max()
    return x - np.log(np.sum(np.exp(x)))


class LogSoftmax:
    def __init__(self, axis=-1):
        self.axis = axis

    def __call__(self, x):
        x = x - np.max(x, axis=self.axis, keepdims=True)
        return x - np.log(np.sum(np.exp(x), axis=self.axis, keepdims=True))
