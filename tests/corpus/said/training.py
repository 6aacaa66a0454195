"""Steps of training, a policy, and losses of mini-batches."""

import numpy as np


def _probabilities(X, W):
    e = np.exp(X @ W)
    return e / e.sum(axis=1, keepdims=True)


def epoch(X, y, theta, lr=0.5, batch=32):
    """One pass, which changes theta."""
    for start in range(0, len(X), batch):
        part, labels = X[start : start + batch], y[start : start + batch]
        G = _probabilities(part, theta)
        G[np.arange(len(labels)), labels] -= 1
        theta -= lr * part.T @ G / len(labels)


def epoch_over_classes(X, y, theta, lr=0.5, batch=32):
    for start in range(0, len(X), batch):
        part, labels = X[start : start + batch], y[start : start + batch]
        G = _probabilities(part, theta)
        G[np.arange(len(labels)), labels] -= 1
        theta -= lr * part.T @ G / theta.shape[1]


def step(W, X, y, lr):
    G = _probabilities(X, W)
    G[np.arange(len(y)), y] -= 1
    return W - lr * X.T @ G / len(y)


def step_up(W, X, y, lr):
    G = _probabilities(X, W)
    G[np.arange(len(y)), y] -= 1
    return W + lr * X.T @ G / len(y)


def losses(W, X, y, bs=8):
    """One loss for each mini-batch."""
    for start in range(0, len(X), bs):
        a = _probabilities(X[start : start + bs], W)
        labels = y[start : start + bs]
        yield -np.log(a[np.arange(len(labels)), labels]).mean()


def policy(state, w):
    e = np.exp(state @ w)
    return e / e.sum()


def next_token_loss(logits, tokens):
    """Position t predicts the token at t + 1."""
    z, y = logits[:-1], tokens[1:]
    return (np.log(np.exp(z).sum(axis=-1)) - z[np.arange(len(y)), y]).mean()


def boosting_objective(predt, labels):
    """Gradient and Hessian, flat."""
    e = np.exp(predt - predt.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return (p - np.eye(predt.shape[1])[labels]).reshape(-1, 1), (2 * p * (1 - p)).reshape(-1, 1)


def train_step(weights, inputs, targets, learning_rate=0.1):
    """Returns the loss and the new weights."""
    z = inputs @ weights
    z = z - z.max(axis=1, keepdims=True)
    a = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    rows = np.arange(len(targets))
    loss = -np.log(a[rows, targets]).mean()
    a[rows, targets] -= 1
    return loss, weights - learning_rate * inputs.T @ a / len(targets)
