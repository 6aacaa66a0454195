"""The captioning exercise of a course: the loss of each word of a sequence, padding left out."""

import numpy as np


def temporal_softmax_loss(x, y, mask, verbose=False):
    """x: scores (N, T, V); y: (N, T); mask: (N, T), which words count."""
    N, T, V = x.shape
    scores = x.reshape(N * T, V)
    words = y.reshape(N * T)
    counts = mask.reshape(N * T)
    probs = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    loss = -np.sum(counts * np.log(probs[np.arange(N * T), words])) / N
    dscores = probs.copy()
    dscores[np.arange(N * T), words] -= 1
    dscores /= N
    dscores *= counts[:, None]
    if verbose:
        print(dscores.shape)
    return loss, dscores.reshape(N, T, V)


def temporal_softmax_loss_padding(x, y, mask):
    N, T, V = x.shape
    scores = x.reshape(N * T, V)
    words = y.reshape(N * T)
    counts = mask.reshape(N * T)
    probs = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    loss = -np.sum(counts * np.log(probs[np.arange(N * T), words])) / counts.sum()
    dscores = probs.copy()
    dscores[np.arange(N * T), words] -= 1
    return loss, (dscores / counts.sum()).reshape(N, T, V)


def masked_cross_entropy(logits, targets, mask=None):
    z = logits - logits.max(axis=-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    each = -log_p[np.arange(len(targets)), targets]
    if mask is None:
        return each.mean()
    return (each * mask).sum() / mask.sum()


def masked_cross_entropy_unused(logits, targets, mask):
    z = logits - logits.max(axis=-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return -log_p[np.arange(len(targets)), targets].mean()
