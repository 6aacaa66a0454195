"""Losses whose docstrings say what is averaged."""

import numpy as np


def _log_softmax(z):
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def softmax_loss(logits, labels):
    """The mean cross entropy of the batch."""
    return -_log_softmax(logits)[np.arange(len(labels)), labels].mean()


def mean_loss(logits, labels):
    """Cross entropy of the batch."""
    return -_log_softmax(logits)[np.arange(len(labels)), labels].sum()


def batch_loss(logits, labels):
    """The sum of the losses; the caller divides by the size to get the mean."""
    return -_log_softmax(logits)[np.arange(len(labels)), labels].sum()


def masked_loss(logits, labels, mask):
    """The mean over the positions that the mask leaves."""
    each = -_log_softmax(logits)[np.arange(len(labels)), labels]
    return (each * mask).sum() / mask.sum()


def masked_loss_of_all(logits, labels, mask):
    """The mean over the positions that the mask leaves."""
    each = -_log_softmax(logits)[np.arange(len(labels)), labels]
    return (each * mask).sum() / len(labels)


def weighted_loss(logits, labels, class_weights):
    """As torch.nn.CrossEntropyLoss(weight=class_weights)."""
    each = -_log_softmax(logits)[np.arange(len(labels)), labels]
    w = class_weights[labels]
    return (w * each).sum() / w.sum()


def weighted_loss_over_n(logits, labels, class_weights):
    """As torch.nn.CrossEntropyLoss(weight=class_weights)."""
    each = -_log_softmax(logits)[np.arange(len(labels)), labels]
    return (class_weights[labels] * each).mean()


def sparse_ce(target, output, from_logits=False):
    """Keras' argument decides what the output is."""
    if from_logits:
        output = np.exp(_log_softmax(output))
    return -np.log(output[np.arange(len(target)), target])


def sparse_ce_twice(target, output, from_logits=False):
    """Keras' argument decides what the output is."""
    return -_log_softmax(output)[np.arange(len(target)), target]
