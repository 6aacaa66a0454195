import numpy as np


def affine_softmax_loss(X, y, W, b, reg=0.0):
    """
    One affine layer followed by softmax.

    X (N, D); y (N,); W (D, C); b (C,).  Returns loss, dW, db.
    The bias is not penalised.
    """
    N = X.shape[0]
    scores = X.dot(W) + b
    scores -= scores.max(axis=1, keepdims=True)
    expo = np.exp(scores)
    Z = expo.sum(axis=1, keepdims=True)
    loss = np.sum(np.log(Z[:, 0]) - scores[np.arange(N), y]) / N
    loss += reg * np.sum(W * W)
    d = expo / Z
    d[np.arange(N), y] -= 1
    d /= N
    dW = X.T.dot(d) + 2 * reg * W
    db = d.sum(axis=0)
    return loss, dW, db


def loss_and_grads(W, b, x, t):
    """the same, gradients in a dict, one-hot t"""
    a = x @ W + b
    a = a - a.max(axis=-1, keepdims=True)
    logy = a - np.log(np.exp(a).sum(axis=-1, keepdims=True))
    loss = -np.sum(t * logy) / x.shape[0]
    da = (np.exp(logy) - t) / x.shape[0]
    grads = {'W': x.T @ da, 'b': da.sum(axis=0)}
    return loss, grads


def affine_softmax_loss_db(X, y, W, b):
    # bias gradient forgets that the loss is a mean
    N = X.shape[0]
    scores = X.dot(W) + b
    scores -= scores.max(axis=1, keepdims=True)
    expo = np.exp(scores)
    Z = expo.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(Z[:, 0]) - scores[np.arange(N), y])
    d = expo / Z
    d[np.arange(N), y] -= 1
    return loss, X.T.dot(d), d.sum(axis=0)
