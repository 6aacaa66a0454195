"""Networks of two layers: the weights in a dict, or in attributes."""

import numpy as np


def forward_pass(X, parameters):
    hidden = np.tanh(parameters["W1"] @ X + parameters["b1"])
    scores = parameters["W2"] @ hidden + parameters["b2"]
    scores = scores - scores.max(axis=0, keepdims=True)
    out = np.exp(scores) / np.exp(scores).sum(axis=0, keepdims=True)
    return out, {"hidden": hidden, "out": out}


def backprop(parameters, cache, X, Y):
    """X (features, m), Y one-hot (classes, m)"""
    m = X.shape[1]
    of_scores = cache["out"] - Y
    of_hidden = parameters["W2"].T @ of_scores * (1 - cache["hidden"] ** 2)
    return {
        "dW1": of_hidden @ X.T / m,
        "db1": of_hidden.sum(axis=1, keepdims=True) / m,
        "dW2": of_scores @ cache["hidden"].T / m,
        "db2": of_scores.sum(axis=1, keepdims=True) / m,
    }


def backprop_without_slope(parameters, cache, X, Y):
    """X (features, m), Y one-hot (classes, m)"""
    m = X.shape[1]
    of_scores = cache["out"] - Y
    of_hidden = parameters["W2"].T @ of_scores * (1 - cache["hidden"])
    return {
        "dW1": of_hidden @ X.T / m,
        "db1": of_hidden.sum(axis=1, keepdims=True) / m,
        "dW2": of_scores @ cache["hidden"].T / m,
        "db2": of_scores.sum(axis=1, keepdims=True) / m,
    }


class Perceptron:
    def __init__(self, layer_sizes):
        rng = np.random.default_rng(5)
        self.W1 = rng.normal(size=(layer_sizes[0], layer_sizes[1]))
        self.b1 = np.zeros((1, layer_sizes[1]))
        self.W2 = rng.normal(size=(layer_sizes[1], layer_sizes[2]))
        self.b2 = np.zeros((1, layer_sizes[2]))

    def forward(self, X):
        self.hidden = np.maximum(X @ self.W1 + self.b1, 0)
        scores = self.hidden @ self.W2 + self.b2
        scores = scores - scores.max(axis=1, keepdims=True)
        self.out = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return self.out

    def nll(self, y_true, y_pred):
        return -np.sum(y_true * np.log(y_pred + 1e-9)) / len(y_true)

    def update(self, X, y, lr):
        of_scores = (self.out - y) / len(X)
        of_hidden = of_scores @ self.W2.T * (self.hidden > 0)
        self.W2 -= lr * self.hidden.T @ of_scores
        self.b2 -= lr * of_scores.sum(axis=0)
        self.W1 -= lr * X.T @ of_hidden
        self.b1 -= lr * of_hidden.sum(axis=0)

    def update_late(self, X, y, lr):
        of_scores = (self.out - y) / len(X)
        self.W2 -= lr * self.hidden.T @ of_scores
        self.b2 -= lr * of_scores.sum(axis=0)
        of_hidden = of_scores @ self.W2.T * (self.hidden > 0)
        self.W1 -= lr * X.T @ of_hidden
        self.b1 -= lr * of_hidden.sum(axis=0)
