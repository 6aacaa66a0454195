from typing import Tuple

import numpy as np
import numpy.typing as npt

Vec = npt.NDArray[np.float64]


def softmax_forward(z: Vec, y: int) -> Tuple[float, Vec]:
    """Loss and probabilities of one example."""
    z = z - np.max(z)
    log_probs = z - np.log(np.sum(np.exp(z)))
    return float(-log_probs[y]), np.exp(log_probs)


def softmax_forward_backward(z: Vec, y: int) -> Tuple[float, Vec, Vec]:
    """Loss, probabilities and gradient of one example."""
    loss, probs = softmax_forward(z, y)
    grad = probs - np.eye(len(z))[y]
    return loss, probs, grad


def batch_loss(logits: npt.NDArray, labels: npt.NDArray) -> Tuple[float, npt.NDArray, npt.NDArray]:
    """(mean loss, probabilities (N, C), gradient (N, C))"""
    m = logits.max(axis=1, keepdims=True)
    logp = logits - m - np.log(np.exp(logits - m).sum(axis=1, keepdims=True))
    rows = np.arange(logits.shape[0])
    probs = np.exp(logp)
    grad = probs.copy()
    grad[rows, labels] -= 1.0
    return -logp[rows, labels].mean(), probs, grad / len(rows)


def batch_loss_and_probs(logits: npt.NDArray, labels: npt.NDArray):
    m = logits.max(axis=1, keepdims=True)
    logp = logits - m - np.log(np.exp(logits - m).sum(axis=1, keepdims=True))
    return -logp[np.arange(len(labels)), labels].mean(), np.exp(logp)


def batch_loss_accuracy(logits: npt.NDArray, labels: npt.NDArray) -> Tuple[float, float]:
    m = logits.max(axis=1, keepdims=True)
    lse = (m + np.log(np.exp(logits - m).sum(axis=1, keepdims=True)))[:, 0]
    loss = np.mean(lse - logits[np.arange(len(labels)), labels])
    accuracy = np.mean(np.argmax(logits, axis=1) == labels)
    return loss, accuracy


def batch_loss_wrong_divisor(logits: npt.NDArray, labels: npt.NDArray):
    m = logits.max(axis=1, keepdims=True)
    logp = logits - m - np.log(np.exp(logits - m).sum(axis=1, keepdims=True))
    rows = np.arange(logits.shape[0])
    probs = np.exp(logp)
    grad = probs.copy()
    grad[rows, labels] -= 1.0
    return -logp[rows, labels].mean(), probs, grad / len(rows) ** 2
