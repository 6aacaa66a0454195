"""Losses of language models."""

import numpy as np


def _log_softmax(z):
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def shifted(logits, tokens):
    """The outputs at t are for the token at t + 1; logits (B, T, V), tokens (B, T)."""
    logp = _log_softmax(logits[:, :-1])
    picked = np.take_along_axis(logp, tokens[:, 1:, None], axis=-1)
    return -picked.mean()


def without_padding(logits, targets, pad_idx=0):
    keep = targets != pad_idx
    picked = np.take_along_axis(_log_softmax(logits), np.where(keep, targets, 0)[..., None], -1)
    return -(picked[..., 0] * keep).sum() / keep.sum()


def padding_in_the_mean(logits, targets, pad_idx=0):
    """The mean over the mask of what is no padding."""
    keep = targets != pad_idx
    picked = np.take_along_axis(_log_softmax(logits), np.where(keep, targets, 0)[..., None], -1)
    return -(picked[..., 0] * keep).mean()


def with_lengths(logits, targets, lengths):
    """logits (B, T, V), of which the first lengths[b] of each sequence count"""
    keep = np.arange(targets.shape[1])[None, :] < lengths[:, None]
    picked = np.take_along_axis(_log_softmax(logits), targets[..., None], -1)[..., 0]
    return -(picked * keep).sum() / lengths.sum()


def tied_head(x, wte, targets):
    """x (B, T, D), the embedding wte (V, D); the loss, and the gradients of x and wte"""
    B, T, _ = x.shape
    logp = _log_softmax(x @ wte.T)
    loss = -np.take_along_axis(logp, targets[..., None], -1).mean()
    d = (np.exp(logp) - np.eye(len(wte))[targets]) / (B * T)
    return loss, d @ wte, np.einsum("btv,btd->vd", d, x)


def tied_head_wrong(x, wte, targets):
    """divides the gradient by the number of sequences"""
    logp = _log_softmax(x @ wte.T)
    loss = -np.take_along_axis(logp, targets[..., None], -1).mean()
    d = (np.exp(logp) - np.eye(len(wte))[targets]) / len(x)
    return loss, d @ wte, np.einsum("btv,btd->vd", d, x)


def bigrams(W, xs, ys):
    """W has a row of logits for each character; xs and ys are characters."""
    logp = _log_softmax(W[xs])
    return -logp[np.arange(len(ys)), ys].mean()


def of_steps(ps, targets):
    """ps: for each step a column of probabilities, as a recurrent network keeps them"""
    return sum(-np.log(ps[t][targets[t], 0]) for t in range(len(targets)))
