"""A small number in the sum of a softmax, or in the log of a mask: against 0 / 0, and log 0."""

import numpy as np

SMALL = 1e-8


def softmax(scores):
    e = np.exp(scores)
    return e / (np.sum(e, axis=-1, keepdims=True) + SMALL)


def softmax_times_mean(scores):
    e = np.exp(scores)
    return e / (np.mean(e, axis=-1, keepdims=True) + SMALL)


def masked_log_softmax(scores, mask):
    scores = scores + np.log(mask + 1e-13)
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def masked_log_softmax_product(scores, mask):
    scores = scores * mask
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


class LogSoftmax:
    def forward(self, x):
        shifted = x - x.max(axis=-1, keepdims=True)
        total = np.exp(shifted).sum(axis=-1, keepdims=True) + SMALL
        self.a = np.exp(shifted) / total
        return shifted - np.log(total)

    def backward(self, dout):
        return dout - self.a * dout.sum(axis=-1, keepdims=True)


class LogSoftmaxDiagonal(LogSoftmax):
    def backward(self, dout):
        return dout * (1 - self.a)
