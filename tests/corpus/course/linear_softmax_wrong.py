import numpy as np
from builtins import range


def softmax_loss_naive(W, X, y, reg):
    """Loops over examples; the gradient is built up column by column."""
    loss = 0.0
    dW = np.zeros(W.shape)
    N = X.shape[0]
    C = W.shape[1]
    for i in range(N):
        s = X[i] @ W
        s = s - np.max(s)
        p = np.exp(s) / np.sum(np.exp(s))
        loss += -s[y[i]] + np.log(np.sum(np.exp(s)))
        for j in range(C):
            if j == y[i]:
                dW[:, j] += (p[j] - 1) * X[i]
            else:
                dW[:, j] += p[j] * X[i]
    loss /= N
    loss += reg * np.sum(W * W)
    dW += 2 * reg * W
    return loss, dW


def softmax_loss_vectorized(W, X, y, reg):
    num = X.shape[0]
    scores = X @ W
    scores -= np.max(scores, axis=1, keepdims=True)
    P = np.exp(scores)
    logZ = np.log(P.sum(axis=1))
    P /= P.sum(axis=1, keepdims=True)
    loss = (logZ - scores[np.arange(num), y]).sum() / num + reg * np.sum(np.square(W))
    P[np.arange(num), y] -= 1.0
    dW = X.T @ P / num + reg * W
    return loss, dW


def softmax_loss_no_penalty(W, X, y, reg):
    """my second try"""
    num = X.shape[0]
    f = X.dot(W)
    f -= np.max(f, axis=1)[:, None]
    e = np.exp(f)
    s = np.sum(e, axis=1)
    L = np.mean(-f[np.arange(num), y] + np.log(s))
    G = e / s[:, None]
    G[np.arange(num), y] -= 1
    return L, X.T.dot(G) / num


def softmax_loss_sign(W, X, y, reg):
    num = X.shape[0]
    f = X.dot(W)
    f -= np.max(f, axis=1)[:, None]
    e = np.exp(f)
    s = np.sum(e, axis=1)
    L = np.mean(-f[np.arange(num), y] + np.log(s)) + reg * (W * W).sum()
    G = e / s[:, None]
    G[np.arange(num), y] += 1
    return L, X.T.dot(G) / num + 2 * reg * W
