"""A layer for scipy.optimize: all weights in one vector, whatever its name; and other penalties."""

import numpy as np


def _probabilities(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def objective(w, X, y):
    n, d = X.shape
    W = w.reshape(d, len(w) // d)
    p = _probabilities(X @ W)
    loss = -np.log(p[np.arange(n), y]).mean()
    p[np.arange(n), y] -= 1
    return loss, (X.T @ p / n).ravel()


def objective_onehot(params, X, Y, lam):
    k = Y.shape[1]
    W = params[: k * X.shape[1]].reshape(k, X.shape[1])
    p = _probabilities(X @ W.T)
    loss = -np.sum(Y * np.log(p + 1e-12)) / len(X) + lam / 2 * np.sum(W**2)
    return loss, ((p - Y).T @ X / len(X) + lam * W).ravel()


def objective_onehot_flipped(params, X, Y, lam):
    assert params.ndim == 1
    k = Y.shape[1]
    W = params[: k * X.shape[1]].reshape(k, X.shape[1])
    p = _probabilities(X @ W.T)
    loss = -np.sum(Y * np.log(p + 1e-12)) / len(X) + lam / 2 * np.sum(W**2)
    return loss, ((Y - p).T @ X / len(X) + lam * W).ravel()


def lasso(W, X, y, reg):
    n = len(y)
    p = _probabilities(X @ W)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.abs(W).sum()
    p[np.arange(n), y] -= 1
    return loss, X.T @ p / n + reg * np.sign(W)


def lasso_with_the_wrong_gradient(W, X, y, reg):
    n = len(y)
    p = _probabilities(X @ W)
    loss = -np.log(p[np.arange(n), y]).mean() + reg * np.abs(W).sum()
    p[np.arange(n), y] -= 1
    return loss, X.T @ p / n + 2 * reg * W


def with_pair(W, batch):
    X, y = batch
    z = X @ W
    m = z.max(axis=1, keepdims=True)
    return (np.log(np.exp(z - m).sum(axis=1)) + m[:, 0] - z[np.arange(len(y)), y]).mean()


def with_dict(params, batch):
    z = batch["inputs"] @ params["W"] + params["b"]
    m = z.max(axis=1, keepdims=True)
    y = batch["labels"]
    return (np.log(np.exp(z - m).sum(axis=1)) + m[:, 0] - z[np.arange(len(y)), y]).mean()


def with_dict_wrong(params, batch):
    z = batch["inputs"] @ params["W"] + params["b"]
    m = z.max(axis=1, keepdims=True)
    y = batch["labels"]
    return (np.log(np.exp(z - m).sum(axis=1)) - z[np.arange(len(y)), y]).mean()
