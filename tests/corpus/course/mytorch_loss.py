import numpy as np


class Criterion(object):
    """Interface for loss functions."""

    def __init__(self):
        self.logits = None
        self.labels = None
        self.loss = None

    def __call__(self, x, y):
        return self.forward(x, y)

    def forward(self, x, y):
        raise NotImplementedError

    def derivative(self):
        raise NotImplementedError


class SoftmaxCrossEntropy(Criterion):
    """Softmax loss; one value per example."""

    def __init__(self):
        super(SoftmaxCrossEntropy, self).__init__()
        self.sm = None

    def forward(self, x, y):
        """
        Argument:
            x (np.array): (batch size, 10)
            y (np.array): (batch size, 10), one-hot
        Return:
            out (np.array): (batch size, )
        """
        self.logits = x
        self.labels = y
        a = np.max(x, axis=1, keepdims=True)
        lse = a + np.log(np.sum(np.exp(x - a), axis=1, keepdims=True))
        self.sm = np.exp(x - lse)
        self.loss = np.sum(-y * (x - lse), axis=1)
        return self.loss

    def derivative(self):
        """gradient with respect to x, (batch size, 10)"""
        return self.sm - self.labels


class CrossEntropyLoss:

    def forward(self, A, Y):
        self.A = A
        self.Y = Y
        N, C = A.shape
        Ones_C = np.ones((C, 1))
        Ones_N = np.ones((N, 1))
        shifted = A - A.max(axis=1, keepdims=True)
        self.softmax = np.exp(shifted) / (np.exp(shifted) @ Ones_C)
        logs = shifted - np.log(np.exp(shifted) @ Ones_C)
        crossentropy = (-Y * logs) @ Ones_C
        sum_crossentropy = Ones_N.T @ crossentropy
        L = sum_crossentropy / N
        return L.item()

    def backward(self):
        dLdA = (self.softmax - self.Y) / self.A.shape[0]
        return dLdA


class CrossEntropyLossTranspose:
    def forward(self, A, Y):
        self.N = A.shape[0]
        e = np.exp(A - A.max(axis=1, keepdims=True))
        self.P = e / e.sum(axis=1, keepdims=True)
        self.Y = Y
        return -np.sum(Y * np.log(self.P)) / self.N

    def backward(self):
        return (self.Y - self.P) / self.N
