"""Layers of an engine, of a network, and one that ignores a label; images."""

import numpy as np


class Node:
    def __init__(self, data):
        self.data, self.grad, self.of = np.asarray(data), None, None

    def backward(self):
        self.of.backward(1.0)


class Operation:
    """An engine's operation: what backward needs is kept by the call."""

    def __call__(self, *given):
        self.given = [one if isinstance(one, Node) else Node(one) for one in given]
        self.result = Node(self.forward(*[one.data for one in self.given]))
        self.result.of = self
        return self.result


class SoftmaxOperation(Operation):
    def forward(self, x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def backward(self, above):
        a = self.result.data
        return a * (above - (a * above).sum(axis=1, keepdims=True))


class LossOperation(Operation):
    def forward(self, x, t):
        self.a = np.exp(x - x.max(axis=1, keepdims=True))
        self.a /= self.a.sum(axis=1, keepdims=True)
        return -np.log(self.a[np.arange(len(t)), t]).mean()

    def backward(self, above):
        x, t = self.given
        return (self.a - np.eye(x.data.shape[1])[t.data]) * above / len(t.data), None


class LossOperationOfSum(LossOperation):
    def backward(self, above):
        x, t = self.given
        return (self.a - np.eye(x.data.shape[1])[t.data]) * above, None


class SoftmaxLayer:
    """One column; backward takes a learning rate, as those of layers with weights do."""

    def forward(self, column):
        e = np.exp(column - column.max())
        self.a = e / e.sum()
        return self.a

    def backward(self, above, learning_rate):
        return (np.eye(self.a.size) - self.a.T) * self.a @ above


class SoftmaxLayerDiagonal(SoftmaxLayer):
    def backward(self, above, learning_rate):
        return above * self.a * (1 - self.a)


class TimeLoss:
    """Sequences, in which words of label -1 do not count."""

    def __init__(self):
        self.ignore_label = -1

    def forward(self, xs, ts):
        B, T, C = xs.shape
        kept = ts.ravel() != self.ignore_label
        z = xs.reshape(-1, C)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        self.a, self.t, self.kept, self.shape = (
            e / e.sum(1, keepdims=True),
            ts.ravel(),
            kept,
            (B, T, C),
        )
        return -(np.log(self.a[np.arange(B * T), self.t]) * kept).sum() / kept.sum()

    def backward(self):
        d = self.a.copy()
        d[np.arange(len(d)), self.t] -= 1
        return (d * self.kept[:, None] / self.kept.sum()).reshape(self.shape)


class TimeLossOfAll(TimeLoss):
    def backward(self):
        d = self.a.copy()
        d[np.arange(len(d)), self.t] -= 1
        return (d / self.kept.sum()).reshape(self.shape)


class Net:
    """Two layers with ReLU."""

    def __init__(self, input_dim, hidden_dim, num_classes):
        rng = np.random.default_rng(0)
        self.params = {
            "W1": rng.normal(size=(input_dim, hidden_dim)),
            "b1": np.zeros(hidden_dim),
            "W2": rng.normal(size=(hidden_dim, num_classes)),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y, reg=0.0):
        W1, b1, W2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        hidden = np.maximum(X @ W1 + b1, 0)
        z = hidden @ W2 + b2
        z = z - z.max(axis=1, keepdims=True)
        log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        rows = np.arange(len(y))
        loss = -log_a[rows, y].mean() + 0.5 * reg * ((W1**2).sum() + (W2**2).sum())
        d = np.exp(log_a)
        d[rows, y] -= 1
        d = self.scaled(d)
        back = d @ W2.T * (hidden > 0)
        return loss, {
            "W1": X.T @ back + reg * W1,
            "b1": back.sum(axis=0),
            "W2": hidden.T @ d + reg * W2,
            "b2": d.sum(axis=0),
        }

    def scaled(self, d):
        return d / len(d)


def pixel_loss(scores, labels):
    """scores of each pixel, channels second"""
    b, c, h, w = scores.shape
    z = scores.transpose(0, 2, 3, 1).reshape(-1, c)
    z = z - z.max(axis=1, keepdims=True)
    log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -log_a[np.arange(len(z)), labels.reshape(-1)].mean()


def pixel_loss_sign(scores, labels):
    return -pixel_loss(scores, labels)
