# -*- coding: utf-8 -*-
"""TP 3 : régression logistique multinomiale."""
import numpy as np


def cout_et_gradient(X, y, W, lambda_):
    """Coût et gradient.  X : (N, D), y : (N,), W : (D, C)."""
    n = len(y)
    scores = X @ W
    scores = scores - scores.max(axis=1, keepdims=True)      # stabilité numérique
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    cout = -log_p[np.arange(n), y].mean() + lambda_ / 2 * np.sum(W * W)
    delta = np.exp(log_p)
    delta[np.arange(n), y] -= 1
    return cout, X.T @ delta / n + lambda_ * W


def softmax_regression(X, W, y, regularization=0.0):
    m = X.shape[0]
    z = X @ W
    z = z - z.max(1, keepdims=True)
    lse = np.log(np.exp(z).sum(1))
    J = (lse - z[np.arange(m), y]).mean() + regularization * np.sum(W ** 2)
    R = np.exp(z - lse[:, None])
    R[np.arange(m), y] -= 1
    return J, X.T @ R / m + 2 * regularization * W


def cost_grad(theta, X, Y, lbda):
    """Y is one-hot (N, C)."""
    m = X.shape[0]
    Z = X.dot(theta)
    Z = Z - np.max(Z, axis=1, keepdims=True)
    H = np.exp(Z) / np.sum(np.exp(Z), axis=1, keepdims=True)
    logH = Z - np.log(np.sum(np.exp(Z), axis=1, keepdims=True))
    J = -np.sum(Y * logH) / m + (lbda / (2.0 * m)) * np.sum(theta ** 2)
    grad = X.T.dot(H - Y) / m + (lbda / m) * theta
    return J, grad


def loss_only(weights, features, labels, l2=0.1):
    """A layer's loss without the gradient."""
    logits = features @ weights
    top = logits.max(axis=1)
    lse = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    data = np.mean(lse - logits[np.arange(len(labels)), labels])
    return data + l2 * np.sum(weights * weights)
