"""CuPy in the place of NumPy, names from a helper that is not here, assertions of a package."""

import chex
import cupy as cp
from helpers.arrays import *


def softmax(scores):
    chex.assert_rank(scores, 2)
    e = cp.exp(scores - cp.max(scores, axis=1, keepdims=True))
    return cp.asnumpy(e / cp.sum(e, axis=1, keepdims=True))


def cross_entropy(scores, y):
    top = np.max(scores, axis=1)
    total = np.sum(np.exp(scores - top[:, None]), axis=1)
    return np.mean(np.log(total) + top - scores[np.arange(len(y)), y])


def cross_entropy_flipped(scores, y):
    chex.assert_rank(y, 1)
    return -cross_entropy(scores, y)
