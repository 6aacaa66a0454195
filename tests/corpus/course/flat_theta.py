"""Softmax regression for scipy.optimize.minimize: the parameters come as one vector."""
import numpy as np


def softmax_cost(theta, num_classes, input_size, lambda_, data, labels):
    """
    theta: vector, num_classes * input_size
    data: (input_size, m), one example per column
    labels: (m,)
    """
    m = data.shape[1]
    W = theta.reshape(num_classes, input_size)
    M = W.dot(data)
    M = M - M.max(axis=0)
    logp = M - np.log(np.exp(M).sum(axis=0))
    ground_truth = np.zeros((num_classes, m))
    ground_truth[labels, np.arange(m)] = 1
    cost = -np.sum(ground_truth * logp) / m + lambda_ / 2 * np.sum(W * W)
    grad = -(ground_truth - np.exp(logp)).dot(data.T) / m + lambda_ * W
    return cost, grad.ravel()


def costFunction(theta, X, y, lmbda):
    """theta flat, (D * C,); X (m, D); y one-hot (m, C)"""
    m, D = X.shape
    T = theta.reshape(D, -1)
    S = X @ T
    S = S - S.max(axis=1, keepdims=True)
    lse = np.log(np.exp(S).sum(axis=1, keepdims=True))
    J = np.sum(y * (lse - S)) / m + lmbda * np.sum(T ** 2)
    G = X.T @ (np.exp(S - lse) - y) / m + 2 * lmbda * T
    return J, G.flatten()
