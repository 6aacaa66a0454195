"""Objectives and metrics for gradient boosting."""

import numpy as np

CLASSES = 6


def _probabilities(margins):
    e = np.exp(margins - margins.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def by_class(preds, train_data):
    """One long array: the margins of class 0 for all rows, then those of class 1, ..."""
    labels = train_data.get_label().astype(int)
    p = _probabilities(preds.reshape(CLASSES, -1).T)
    hess = 2 * p * (1 - p)
    p[np.arange(labels.size), labels] -= 1
    return p.T.reshape(-1), hess.T.reshape(-1)


def by_class_metric(preds, train_data):
    labels = train_data.get_label().astype(int)
    p = _probabilities(preds.reshape(CLASSES, -1).T)
    return "softmax_loss", float(-np.log(p[np.arange(labels.size), labels]).mean()), False


def by_row(y_true, y_pred, num_class=3):
    p = _probabilities(y_pred.reshape(-1, num_class))
    onehot = np.eye(num_class)[y_true]
    return (onehot - p).ravel(), (p * (1 - p)).ravel()


def rows_with_dmatrix(predt, dtrain):
    labels = dtrain.get_label()
    grad, hess = np.zeros_like(predt), np.zeros_like(predt)
    for r in range(predt.shape[0]):
        p = np.exp(predt[r] - predt[r].max())
        p /= p.sum()
        for c in range(predt.shape[1]):
            grad[r, c] = p[c] - (1.0 if c == labels[r] else 0.0)
            hess[r, c] = max(2 * p[c] * (1 - p[c]), 1e-6)
    return grad.reshape(-1, 1), hess.reshape(-1, 1)


class Objective:
    def calc_ders_multi(self, approxes, target, weight):
        e = [np.exp(a - max(approxes)) for a in approxes]
        p = [v / sum(e) for v in e]
        first = [weight * ((1 if k == target else 0) - v) for k, v in enumerate(p)]
        second = [[-weight * v * ((j == k) - u) for j, u in enumerate(p)] for k, v in enumerate(p)]
        return first, second
