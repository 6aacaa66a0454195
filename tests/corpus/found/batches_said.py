"""Batches that a name tells of, and differences that are the gradient of several losses."""

import numpy as np


def forward(x_batch, weights):
    scores = np.dot(x_batch, weights)
    powers = np.exp(scores - scores.max(axis=1).reshape(-1, 1))
    return powers / powers.sum(axis=1).reshape(-1, 1)


def forward_over_everything(x_batch, weights):
    scores = np.dot(x_batch, weights)
    powers = np.exp(scores - np.max(scores))
    return powers / np.sum(powers)


class CrossEntropy:
    """What a booster fits its next tree to: of two classes, with a sigmoid."""

    def __call__(self, y_true, y_pred):
        return y_pred - y_true


def output_delta(y_true, y_pred):
    return y_pred - y_true
