import numpy as np


class LinearModel:
    def __init__(self, W):
        self.W = W

    def __call__(self, X):
        return X @ self.W


def loss_and_gradient(model, X, y, reg):
    """The loss of a model with weights model.W, and the gradient for them."""
    scores = X @ model.W
    scores = scores - scores.max(axis=1, keepdims=True)
    total = np.exp(scores).sum(axis=1, keepdims=True)
    n = X.shape[0]
    loss = np.mean(np.log(total[:, 0]) - scores[np.arange(n), y]) + reg * np.sum(model.W ** 2)
    d = np.exp(scores) / total
    d[np.arange(n), y] -= 1
    return loss, X.T @ d / n + 2 * reg * model.W


class SoftmaxClassifier:
    """W is set by fit; loss is called by it for every batch."""

    def __init__(self):
        self.W = None

    def fit(self, X, y, lr=0.1, steps=100):
        self.W = 0.001 * np.random.randn(X.shape[1], int(y.max()) + 1)
        for _ in range(steps):
            _, g = self.loss(X, y, 1e-3)
            self.W -= lr * g

    def loss(self, X_batch, y_batch, reg):
        return loss_and_gradient(self, X_batch, y_batch, reg)
