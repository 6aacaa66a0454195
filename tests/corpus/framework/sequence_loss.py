"""Losses for sequences: logits are (batch, time, vocabulary)."""
import numpy as np


def sequence_cross_entropy(logits, targets):
    """logits (B, T, V), targets (B, T): the mean over all positions"""
    B, T, V = logits.shape
    flat = logits.reshape(B * T, V)
    flat = flat - flat.max(axis=1, keepdims=True)
    lse = np.log(np.exp(flat).sum(axis=1))
    return (lse - flat[np.arange(B * T), targets.reshape(-1)]).mean()


def sequence_cross_entropy_grad(logits, targets):
    B, T, V = logits.shape
    flat = logits.reshape(B * T, V)
    flat = flat - flat.max(axis=1, keepdims=True)
    p = np.exp(flat) / np.exp(flat).sum(axis=1, keepdims=True)
    loss = np.mean(np.log(np.exp(flat).sum(axis=1)) - flat[np.arange(B * T), targets.ravel()])
    p[np.arange(B * T), targets.ravel()] -= 1
    return loss, (p / (B * T)).reshape(B, T, V)


def sequence_cross_entropy_bad(logits, targets):
    B, T, V = logits.shape
    flat = logits.reshape(B * T, V)
    flat = flat - flat.max(axis=1, keepdims=True)
    p = np.exp(flat) / np.exp(flat).sum(axis=1, keepdims=True)
    return np.log(p[np.arange(B * T), targets.reshape(-1)]).mean()
