"""Objects whose methods read what was stored before."""

import numpy as np


def _softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Network:
    def __init__(self, n_in=4, n_out=3):
        self.w = np.zeros((n_in, n_out))

    def forward(self, X):
        self.probs = _softmax(X @ self.w)
        return self.probs

    def cost(self, Y):
        return -(Y * np.log(self.probs)).sum() / len(Y)

    def cost_over_all(self, Y):
        return -(Y * np.log(self.probs)).mean()


class Estimator:
    """its weights exist after fit only"""

    def fit(self, X, y):
        self.coef_ = np.zeros((X.shape[1], y.max() + 1))
        self.intercept_ = np.zeros(y.max() + 1)
        return self

    def predict_proba(self, X):
        return _softmax(X @ self.coef_ + self.intercept_)


class PairLoss:
    """forward and backward take tuples, as in an old framework"""

    def forward(self, inputs):
        x, t = inputs
        self.a = _softmax(x)
        return (np.asarray(-np.log(self.a[np.arange(len(t)), t]).mean()),)

    def backward(self, inputs, grad_outputs):
        _, t = inputs
        gx = self.a.copy()
        gx[np.arange(len(t)), t] -= 1
        return gx * grad_outputs[0] / len(t), None
