"""Layers whose methods are spelled in other ways."""

import numpy as np


class OutputLayer:
    def forward_prop(self, z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        self.a = e / e.sum(axis=1, keepdims=True)
        return self.a

    def back_prop(self, above):
        return self.a * (above - (self.a * above).sum(axis=1, keepdims=True))


class OutputLayerDiagonal(OutputLayer):
    def back_prop(self, above):
        return self.a * (1 - self.a) * above


class Criterion:
    def computeLoss(self, logits, labels):
        top = logits.max(axis=1, keepdims=True)
        log_a = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        return -log_a[np.arange(len(labels)), labels].mean()

    def computeGradient(self, logits, labels):
        d = np.exp(logits - logits.max(axis=1, keepdims=True))
        d /= d.sum(axis=1, keepdims=True)
        d[np.arange(len(labels)), labels] -= 1
        return d / len(labels)


class CriterionFlipped(Criterion):
    def computeGradient(self, logits, labels):
        return -Criterion.computeGradient(self, logits, labels)
