"""Functions that are no softmax losses, and right as what they are."""

import numpy as np


def ctc_like(log_probs, labels):
    places = [0]
    for label in labels:
        places += [int(label), 0]
    paths = np.full(len(places), -np.inf)
    paths[:2] = log_probs[0, places[:2]]
    for row in log_probs[1:]:
        moved = np.concatenate([[-np.inf], paths[:-1]])
        paths = np.logaddexp(paths, moved) + row[places]
    return -np.logaddexp(paths[-1], paths[-2])


def layer_norm_forward(out, inp):
    for i in range(len(inp)):
        centred = inp[i] - inp[i].mean()
        out[i] = centred / np.sqrt((centred**2).mean() + 1e-5)


def bias_reg(W, X, y, reg):
    return 0.5 * reg * np.sum(W * W)


def huber(y_pred, y_true):
    r = np.abs(y_pred - y_true)
    return np.where(r < 1, 0.5 * r * r, r - 0.5).mean()


def perceptron(scores, y):
    return (scores.max(axis=1) - scores[np.arange(len(y)), y]).mean()


def hint_loss(feat_s, feat_t):
    return ((feat_s - feat_t) ** 2).mean()


class MeanSquaredError:
    def forward(self, y_pred, y_true):
        return np.mean((y_true - y_pred) ** 2, axis=-1)

    def backward(self, dvalues, y_true):
        return -2 * (y_true - dvalues) / dvalues.shape[1] / len(dvalues)


def svm_loss(x, y):
    margins = np.maximum(0, x - x[np.arange(len(y)), y][:, None] + 1.0)
    margins[np.arange(len(y)), y] = 0
    dx = (margins > 0).astype(float)
    dx[np.arange(len(y)), y] -= dx.sum(axis=1)
    return margins.sum() / len(y), dx / len(y)
