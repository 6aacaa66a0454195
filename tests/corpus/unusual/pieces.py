"""Parts of a training step, written apart."""

import numpy as np


def _softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def head_forward(z, y):
    a = _softmax(z)
    return -np.log(a[np.arange(len(y)), y]).mean(), (a, y)


def head_backward(cache):
    a, y = cache
    d = a.copy()
    d[np.arange(len(y)), y] -= 1
    return d / len(y)


def softmax_jacobian(p):
    return np.diag(p) - np.outer(p, p)


def softmax_derivative(p):
    """the sign off the diagonal is lost"""
    return np.diag(p) - np.outer(p, p) + 2 * np.outer(p, p) * (1 - np.eye(len(p)))


def make_loss(num_classes):
    identity = np.eye(num_classes)

    def loss(logits, labels):
        return -(identity[labels] * np.log(_softmax(logits) + 1e-12)).sum(axis=1).mean()

    return loss


def distil(student_logits, teacher_logits, T):
    q, log_p = _softmax(teacher_logits / T), np.log(_softmax(student_logits / T) + 1e-300)
    return -(q * log_p).sum(axis=1).mean() * T**2


def distil_cold(student_logits, teacher_logits, T):
    """the student is not softened"""
    q, log_p = _softmax(teacher_logits / T), np.log(_softmax(student_logits) + 1e-300)
    return -(q * log_p).sum(axis=1).mean()


def grad_neg_log_pi(state, w, action):
    p = _softmax(state @ w)
    p[action] -= 1
    return np.outer(state, p)


def reinforce(logits, actions, advantages):
    log_pi = np.log(_softmax(logits))[np.arange(len(actions)), actions]
    return -(log_pi * advantages).mean()


def of_outputs(outputs, batch):
    a = _softmax(outputs["logits"])
    y = batch["labels"]
    return -np.log(a[np.arange(len(y)), y]).mean()


def cost_with_ones(params, X, Y, lam):
    """params (D + 1, C), of which the last row is the bias, without a penalty"""
    Xb = np.column_stack([X, np.ones(len(X))])
    P = _softmax(Xb @ params)
    kept = params.copy()
    kept[-1] = 0
    cost = -(Y * np.log(P + 1e-300)).sum() / len(X) + 0.5 * lam * (kept**2).sum()
    return cost, Xb.T @ (P - Y) / len(X) + lam * kept


def cost_with_penalised_ones(params, X, Y, lam):
    """the penalty of the bias is in the gradient only"""
    Xb = np.column_stack([X, np.ones(len(X))])
    P = _softmax(Xb @ params)
    cost = -(Y * np.log(P + 1e-300)).sum() / len(X) + 0.5 * lam * (params[:-1] ** 2).sum()
    return cost, Xb.T @ (P - Y) / len(X) + lam * params


def cost_of_all_layers(AL, Y, parameters, lambd):
    """AL (n_classes, m), and the penalty of every W"""
    m = Y.shape[1]
    squares = sum((value**2).sum() for name, value in parameters.items() if name[0] == "W")
    return -(Y * np.log(AL)).sum() / m + lambd / (2 * m) * squares
