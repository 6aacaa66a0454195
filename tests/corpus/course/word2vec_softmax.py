import numpy as np


def softmax(x):
    """Softmax of a vector, or of every row of a matrix.

    You must not change the argument (the tests look).
    """
    orig_shape = x.shape
    if len(x.shape) > 1:
        # Matrix
        row_max = np.max(x, axis=1)
        x = x - row_max[:, np.newaxis]
        x = np.exp(x)
        x = x / np.sum(x, axis=1)[:, np.newaxis]
    else:
        # Vector
        x = np.exp(x - np.max(x))
        x = x / np.sum(x)
    assert x.shape == orig_shape
    return x


def softmax_inplace(x):
    if len(x.shape) > 1:
        x -= np.max(x, axis=1, keepdims=True)
        x = np.exp(x)
        return x / np.sum(x, axis=1, keepdims=True)
    x -= np.max(x)
    x = np.exp(x)
    return x / np.sum(x)


def softmax_rows(x):
    """for matrices"""
    x = x - x.max(axis=0)
    y = np.exp(x)
    return y / y.sum(axis=1, keepdims=True)
