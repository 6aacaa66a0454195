"""A softmax loss with a mistake, for `softmaxloss check examples/my_loss.py:softmax_loss`."""

import numpy as np


def softmax_loss(z, y):
    a = np.exp(-z) / np.exp(-z).sum(axis=1, keepdims=True)
    return -np.log(a[np.arange(len(y)), y]).mean()
