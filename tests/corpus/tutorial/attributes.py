import numpy as np


# Softmax activation
class Activation_Softmax:

    # Forward pass: nothing is returned, the result is kept
    def forward(self, inputs):
        self.inputs = inputs
        exp_values = np.exp(inputs - np.max(inputs, axis=1, keepdims=True))
        self.output = exp_values / np.sum(exp_values, axis=1, keepdims=True)

    # Backward pass
    def backward(self, dvalues):
        self.dinputs = np.empty_like(dvalues)
        for k, (out, d) in enumerate(zip(self.output, dvalues)):
            out = out.reshape(-1, 1)
            jac = np.diagflat(out) - np.dot(out, out.T)
            self.dinputs[k] = np.dot(jac, d)


# Common loss class
class Loss:
    def calculate(self, output, y):
        return np.mean(self.forward(output, y))


class Loss_CategoricalCrossentropy(Loss):

    def forward(self, y_pred, y_true):
        n = len(y_pred)
        clipped = np.clip(y_pred, 1e-7, 1 - 1e-7)
        if len(y_true.shape) == 1:
            picked = clipped[range(n), y_true]
        elif len(y_true.shape) == 2:
            picked = np.sum(clipped * y_true, axis=1)
        return -np.log(picked)

    def backward(self, dvalues, y_true):
        n = len(dvalues)
        labels = len(dvalues[0])
        if len(y_true.shape) == 1:
            y_true = np.eye(labels)[y_true]
        self.dinputs = -y_true / dvalues / n


class SoftmaxLossKept:
    """forward leaves loss and output, backward leaves dinputs."""

    def forward(self, inputs, y_true):
        m = inputs.max(axis=1, keepdims=True)
        logp = inputs - m - np.log(np.sum(np.exp(inputs - m), axis=1, keepdims=True))
        self.output = np.exp(logp)
        self.y_true = y_true
        self.loss = -np.mean(logp[range(len(inputs)), y_true])

    def backward(self):
        samples = len(self.output)
        self.dinputs = self.output.copy()
        self.dinputs[range(samples), self.y_true] -= 1
        self.dinputs = self.dinputs / samples


class SoftmaxLossKeptTwice(SoftmaxLossKept):
    def backward(self):
        samples = len(self.output)
        self.dinputs = self.output.copy()
        self.dinputs[range(samples), self.y_true] -= 1
        self.dinputs = self.dinputs / samples / samples
