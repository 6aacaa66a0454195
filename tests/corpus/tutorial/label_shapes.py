import numpy as np


def loss_with_column_labels(scores, y):
    """scores (N, C), y (N, 1): as read from the CSV file"""
    assert y.ndim == 2 and y.shape[1] == 1, "y must be a column"
    scores = scores - scores.max(axis=1, keepdims=True)
    correct = np.take_along_axis(scores, y, axis=1)
    return np.mean(np.log(np.exp(scores).sum(axis=1, keepdims=True)) - correct)


def loss_with_row_labels(scores, Y):
    """scores (C, m), Y (1, m)"""
    assert Y.shape == (1, scores.shape[1])
    idx = Y.ravel().astype(int)
    z = scores - scores.max(axis=0)
    picked = z[idx, np.arange(z.shape[1])]
    return np.sum(np.log(np.exp(z).sum(axis=0)) - picked) / z.shape[1]


def loss_column_labels_wrong(scores, y):
    if y.shape != (scores.shape[0], 1):
        raise ValueError("expected y of shape (N, 1)")
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    correct = np.take_along_axis(p, y, axis=1)
    return -np.log(correct).sum() / scores.shape[1]
