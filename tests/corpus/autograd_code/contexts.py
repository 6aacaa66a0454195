"""Operations of an engine: each a class with a static forward and backward."""

import numpy as np


class Operation:
    @classmethod
    def apply(cls, *parents):
        raise NotImplementedError("the rest of the engine is in another file")


class LogSoftmax(Operation):
    @staticmethod
    def forward(ctx, x, axis=-1):
        shifted = x - x.max(axis=axis, keepdims=True)
        result = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
        ctx.axis = axis
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx, upstream):
        (result,) = ctx.saved_tensors
        return (upstream - np.exp(result) * upstream.sum(axis=ctx.axis, keepdims=True),)


class Softmax(Operation):
    @staticmethod
    def forward(ctx, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        ctx.save_for_backward(e / e.sum(axis=-1, keepdims=True))
        return ctx.saved_tensors[0]

    @staticmethod
    def backward(ctx, upstream):
        (a,) = ctx.saved_tensors
        return a * (upstream - (a * upstream).sum(axis=-1, keepdims=True))


class SoftmaxDiagonal(Softmax):
    @staticmethod
    def backward(ctx, upstream):
        (a,) = ctx.saved_tensors
        return a * (1 - a) * upstream


class CrossEntropy(Operation):
    @staticmethod
    def forward(ctx, scores, target):
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        ctx.a, ctx.target = e / e.sum(axis=1, keepdims=True), target
        top = scores.max(axis=1)
        return np.mean(np.log(e.sum(axis=1)) + top - scores[np.arange(len(target)), target])

    @staticmethod
    def backward(ctx, upstream):
        d = ctx.a.copy()
        d[np.arange(len(d)), ctx.target] -= 1
        return upstream * d / len(d), None


class CrossEntropyUnscaled(CrossEntropy):
    @staticmethod
    def forward(ctx, scores, target):
        return CrossEntropy.forward(ctx, scores, target)

    @staticmethod
    def backward(ctx, upstream):
        d = ctx.a.copy()
        d[np.arange(len(d)), ctx.target] -= 1
        return upstream * d, None
