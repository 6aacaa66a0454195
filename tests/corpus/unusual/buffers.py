"""Kernels as in C: the caller allocates, and each function fills what it is given."""

import math

import numpy as np


def softmax_fwd(out, scores):
    rows, width = scores.shape
    for r in range(rows):
        biggest = max(scores[r])
        total = 0.0
        for k in range(width):
            out[r, k] = math.exp(scores[r, k] - biggest)
            total += out[r, k]
        for k in range(width):
            out[r, k] /= total


def nll_fwd(losses, probs, targets):
    """One loss for each position, losses (B, T), from probs (B, T, V)."""
    B, T = targets.shape
    for b in range(B):
        for t in range(T):
            losses[b, t] = -math.log(probs[b, t, targets[b, t]])


def nll_bwd(dlogits, dlosses, probs, targets):
    """Adds to dlogits (N, V) what each loss contributes."""
    for n in range(len(targets)):
        for v in range(probs.shape[1]):
            hit = 1.0 if v == targets[n] else 0.0
            dlogits[n, v] += (probs[n, v] - hit) * dlosses[n]


def nll_bwd_unscaled(dlogits, dlosses, probs, targets):
    for n in range(len(targets)):
        for v in range(probs.shape[1]):
            dlogits[n, v] += probs[n, v] * dlosses[n]
        dlogits[n, targets[n]] -= 1.0


def softmax_(x):
    np.subtract(x, x.max(axis=1, keepdims=True), out=x)
    np.exp(x, out=x)
    x /= x.sum(axis=1, keepdims=True)


def loss_and_grad_into(z, y, loss, grad):
    for n in range(len(z)):
        shifted = z[n] - z[n].max()
        log_total = np.log(np.exp(shifted).sum())
        loss[n] = log_total - shifted[y[n]]
        grad[n] = np.exp(shifted - log_total)
        grad[n, y[n]] += 1.0
