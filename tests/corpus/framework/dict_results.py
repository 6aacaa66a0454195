"""Functional style; results in dicts and named tuples."""
from collections import namedtuple

import numpy as np

LossGrad = namedtuple("LossGrad", ["loss", "grad"])


def softmax_xent(scores, labels):
    shift = scores - np.max(scores, axis=-1, keepdims=True)
    logp = shift - np.log(np.exp(shift).sum(axis=-1, keepdims=True))
    n = labels.size
    grad = np.exp(logp)
    grad[np.arange(n), labels] -= 1
    return {"loss": -logp[np.arange(n), labels].mean(), "grad": grad / n}


def softmax_xent_nt(scores, labels):
    out = softmax_xent(scores, labels)
    return LossGrad(**out)


def grad_then_loss(scores, labels):
    out = softmax_xent(scores, labels)
    return out["grad"], out["loss"]


def softmax_xent_backwards(scores, labels):
    out = softmax_xent(scores, labels)
    return {"loss": out["loss"], "grad": -out["grad"]}


def keyword_only(*, logits, labels):
    """Call it as keyword_only(logits=..., labels=...)."""
    return softmax_xent(logits, labels)["loss"]


def keyword_only_onehot(*, logits, targets, axis=-1):
    z = logits - logits.max(axis=axis, keepdims=True)
    return (np.log(np.exp(z).sum(axis=axis)) - (z * targets).sum(axis=axis)).mean()


def keyword_only_summed_classes(*, logits, labels):
    z = logits - logits.max(axis=-1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return -logp.sum(axis=-1).mean()
