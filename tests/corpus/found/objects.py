"""Objects that keep what they are passed, take a pair, or read their weights."""

import weakref

import numpy as np


def _softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class SoftmaxLayer:
    """Keeps the inputs of all calls until backward."""

    def __init__(self, name, input_shape):
        self.name, self.input_shape, self.kept = name, input_shape, []

    def forward(self, x):
        self.kept.append(x)
        return _softmax(x)

    def backward(self, grads):
        grads = grads if isinstance(grads, list) else [grads]
        every = []
        for x, g in zip(self.kept, grads):
            a = _softmax(x)
            every.append(a * (g - (a * g).sum(axis=-1, keepdims=True)))
        return every[0] if len(every) == 1 else every


class SoftmaxLayerWithoutSum(SoftmaxLayer):
    def backward(self, grads):
        return _softmax(self.kept[0]) * grads


class PairLoss:
    def __init__(self, name, config):
        self.name, self.config = name, config

    def forward(self, inputs):
        scores, labels = inputs
        self.a, self.labels = _softmax(scores), labels
        return -np.log(self.a[np.arange(len(labels)), labels]).mean()

    def backward(self):
        d = self.a.copy()
        d[np.arange(len(d)), self.labels] -= 1
        return d / len(d)


class PairLossFlipped(PairLoss):
    def backward(self):
        return -super().backward()


def pair_loss(batch):
    scores, labels = batch
    a = _softmax(scores)
    return -np.log(a[np.arange(len(labels)), labels]).mean()


class Classifier:
    def __init__(self):
        self.W = None

    def train(self, X, y, steps=10, rate=1e-3, reg=1e-5):
        self.W = 0.001 * np.random.randn(X.shape[1], int(y.max()) + 1)
        for _ in range(steps):
            self.W -= rate * self.loss(X, y, reg)[1]

    def loss(self, X_batch, y_batch, reg):
        raise NotImplementedError


class SoftmaxClassifier(Classifier):
    def loss(self, X_batch, y_batch, reg):
        a = _softmax(X_batch @ self.W)
        rows = np.arange(len(y_batch))
        value = -np.log(a[rows, y_batch]).mean() + reg * np.sum(self.W**2)
        a[rows, y_batch] -= 1
        return value, X_batch.T @ a / len(rows) + 2 * reg * self.W


class SoftmaxClassifierOnce(Classifier):
    def loss(self, X_batch, y_batch, reg):
        a = _softmax(X_batch @ self.W)
        rows = np.arange(len(y_batch))
        value = -np.log(a[rows, y_batch]).mean() + reg * np.sum(self.W**2)
        a[rows, y_batch] -= 1
        return value, X_batch.T @ a + 2 * reg * self.W


class PassedOn:
    """forward returns what it is passed, and keeps the loss of all calls."""

    def __init__(self, input_shape):
        self.total = np.zeros(input_shape)

    def forward(self, x, t):
        self.x, self.t = x, t
        self.total = self.total - t * np.log(x)
        return x

    def backward(self):
        return -self.t / self.x


class Node:
    def __init__(self, data):
        self.data, self.grad, self.made_by = np.asarray(data), None, None

    def backward(self):
        self.grad = self.made_by.backward(Node(np.ones_like(self.data)))


class Step:
    def __call__(self, x):
        x = x if isinstance(x, Node) else Node(x)
        y = Node(self.forward(x.data))
        y.made_by, self.result = self, weakref.ref(y)
        return y


class LogSoftmaxStep(Step):
    def forward(self, x):
        x = x - x.max(axis=1, keepdims=True)
        return x - np.log(np.exp(x).sum(axis=1, keepdims=True))

    def backward(self, above):
        g = above.data if isinstance(above, Node) else above
        return Node(g - np.exp(self.result().data) * g.sum(axis=1, keepdims=True))


class LogSoftmaxStepWithoutSum(LogSoftmaxStep):
    def backward(self, above):
        g = above.data if isinstance(above, Node) else above
        return Node(g * (1 - np.exp(self.result().data)))
