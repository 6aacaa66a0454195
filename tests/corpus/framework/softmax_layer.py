import numpy as np


class Layer:
    def forward(self, input):
        return input

    def backward(self, grad_output):
        return grad_output


class Softmax(Layer):
    """backward is the product of the upstream gradient with the Jacobian"""

    def forward(self, input):
        e = np.exp(input - input.max(axis=1, keepdims=True))
        self.out = e / e.sum(axis=1, keepdims=True)
        return self.out

    def backward(self, grad_output):
        dot = (grad_output * self.out).sum(axis=1, keepdims=True)
        return self.out * (grad_output - dot)


class SoftmaxDiagonal(Layer):
    """uses the diagonal of the Jacobian only"""

    def forward(self, input):
        e = np.exp(input - input.max(axis=1, keepdims=True))
        self.out = e / e.sum(axis=1, keepdims=True)
        return self.out

    def backward(self, grad_output):
        return grad_output * self.out * (1 - self.out)


class LogSoftmax(Layer):
    def forward(self, input):
        m = input.max(axis=1, keepdims=True)
        self.out = input - m - np.log(np.exp(input - m).sum(axis=1, keepdims=True))
        return self.out

    def backward(self, grad_output):
        return grad_output - np.exp(self.out) * grad_output.sum(axis=1, keepdims=True)


def softmax_backward(dA, cache):
    """dA: upstream, cache: the output of softmax, both (N, C)"""
    S = cache
    return S * (dA - np.sum(dA * S, axis=1, keepdims=True))
