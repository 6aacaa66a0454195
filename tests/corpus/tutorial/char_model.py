"""Minimal character-level model, one step.  Column vectors (vocab, 1)."""
import numpy as np


def step_loss(y, target):
    """y: unnormalized log probabilities of the next char, (V, 1); target: its index"""
    p = np.exp(y - np.max(y)) / np.sum(np.exp(y - np.max(y)))
    loss = -np.log(p[target, 0])
    dy = np.copy(p)
    dy[target] -= 1  # backprop into y
    return loss, dy


def step_loss_onehot(y, t):
    """t: one-hot (V, 1)"""
    y = y - y.max()
    return float(np.log(np.exp(y).sum()) - np.sum(t * y))


def step_loss_bug(y, target):
    p = np.exp(y - np.max(y)) / np.sum(np.exp(y - np.max(y)))
    loss = -np.log(p[target, 0])
    dy = np.copy(p)
    dy[target] = -1
    return loss, dy
