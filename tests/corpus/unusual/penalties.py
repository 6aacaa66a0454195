"""Penalties with a number in the code, or a parameter of any name; steps and closures."""

import numpy as np


def _probabilities(scores):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def decayed_loss(W, X, y):
    p = _probabilities(X @ W)
    loss = -np.log(p[np.arange(len(y)), y]).mean() + 0.05 * np.sum(W * W)
    p[np.arange(len(y)), y] -= 1
    return loss, X.T @ p / len(y) + 0.1 * W


def decayed_loss_half(W, X, y):
    p = _probabilities(X @ W)
    loss = -np.log(p[np.arange(len(y)), y]).mean() + 0.05 * np.sum(W * W)
    p[np.arange(len(y)), y] -= 1
    return loss, X.T @ p / len(y) + 0.05 * W


def cost_of_unused_strength(X, Y, W, lbda):
    return -np.sum(Y * np.log(_probabilities(X @ W))) + np.sum(W * W)


def cost_of_two_strengths(X, Y, W, lbda):
    return -np.sum(Y * np.log(_probabilities(X @ W))) + (0.01 + lbda) * np.sum(W * W)


def bigram_loss(W, xs, ys):
    p = _probabilities(W[xs])
    return -np.log(p[np.arange(len(ys)), ys]).mean() + 0.02 * (W**2).mean()


def ridge_gradient(W, X, Y, mu=0.01):
    return X.T @ (_probabilities(X @ W) - Y) / len(X) + 2 * mu * W


def ridge_gradient_squared(W, X, Y, mu=0.01):
    return X.T @ (_probabilities(X @ W) - Y) / len(X) + mu * W**2


def descent(X, y, theta, alpha=0.1, iters=100, lam=0.0):
    """y is one-hot"""
    for _ in range(iters):
        theta = theta - alpha * (X.T @ (_probabilities(X @ theta) - y) / len(X) + lam * theta)
    return theta


def descent_uphill(X, y, theta, alpha=0.1, iters=100, lam=0.0):
    """y is one-hot"""
    for _ in range(iters):
        theta = theta + alpha * (X.T @ (_probabilities(X @ theta) - y) / len(X) + lam * theta)
    return theta


def sgd_on_one(theta, x_i, y_i, alpha=0.05):
    """one example; y_i is one-hot"""
    s = x_i @ theta
    p = np.exp(s - s.max())
    p = p / p.sum()
    theta -= alpha * np.outer(x_i, p - y_i)
    return -np.log(p @ y_i)


def make_problem(X, y, n_classes, l2=0.0):
    Y = np.eye(n_classes)[y]

    def value(w):
        p = _probabilities(X @ w.reshape(-1, n_classes))
        return -np.sum(Y * np.log(p)) / len(X) + 0.5 * l2 * w @ w

    def slope(w):
        p = _probabilities(X @ w.reshape(-1, n_classes))
        return (X.T @ (p - Y) / len(X)).ravel() + l2 * w

    return value, slope


def make_problem_up(X, y, n_classes, l2=0.0):
    Y = np.eye(n_classes)[y]

    def value(w):
        p = _probabilities(X @ w.reshape(-1, n_classes))
        return -np.sum(Y * np.log(p)) / len(X) + 0.5 * l2 * w @ w

    def slope(w):
        p = _probabilities(X @ w.reshape(-1, n_classes))
        return (X.T @ (Y - p) / len(X)).ravel() + l2 * w

    return value, slope


def mixed_labels(z, y_a, y_b, lam):
    log_p = np.log(_probabilities(z))
    rows = np.arange(len(z))
    return -(lam * log_p[rows, y_a] + (1 - lam) * log_p[rows, y_b]).mean()


def mixed_labels_up(z, y_a, y_b, lam):
    log_p = np.log(_probabilities(z))
    rows = np.arange(len(z))
    return (lam * log_p[rows, y_a] + (1 - lam) * log_p[rows, y_b]).mean()


class Policy:
    def __init__(self, n_features, n_actions):
        self.theta = np.zeros((n_features, n_actions))

    def grad_log_pi(self, s, a):
        """of one state"""
        h = s @ self.theta
        p = np.exp(h - h.max())
        d = -p / p.sum()
        d[a] += 1
        return np.outer(s, d)


class LossOfTwo:
    def forward(self, x, t):
        self.p, self.t = _probabilities(x), t
        return -np.sum(t * np.log(self.p)) / len(x)

    def backward(self, dout=1):
        return dout * (self.p - self.t) / len(self.t)


class LossOfTwoUp(LossOfTwo):
    def backward(self, dout=1):
        return dout * (self.t - self.p) / len(self.t)
