"""Ten right functions of different shapes, and bugs to plant: each replaces a piece of one line."""

from __future__ import annotations

from typing import NamedTuple


class Planted(NamedTuple):
    """A right function f, and the bugs: a piece of a line, the wrong one, and the mistake's id, or
    "" where the bank has none today."""

    shape: str
    code: str
    bugs: list[tuple[str, str, str]]


PLANTED = [
    Planted(
        "one example: (loss, gradient)",
        """
def f(z, y):
    m = np.max(z)
    e = np.exp(z - m)
    s = e.sum()
    loss = np.log(s) + m - z[y]
    d = e / s
    d[y] -= 1
    return loss, d
""",
        [
            ("np.max(z)", "np.min(z)", "not-the-maximum"),
            ("np.log(s) + m - z[y]", "np.log(s) - z[y]", "max-not-added-back"),
            ("np.log(s) + m - z[y]", "np.log(s) + m + z[y]", ""),
            ("np.log(s) + m - z[y]", "z[y] - np.log(s) - m", "no-minus"),
            ("d[y] -= 1", "d[y] += 1", "plus-one"),
            ("d[y] -= 1", "d[y] = -1", "set-to-minus-one"),
            ("d[y] -= 1", "d -= 1", "minus-one-everywhere"),
        ],
    ),
    Planted(
        "a batch of rows: (loss, gradient)",
        """
def f(scores, y):
    N = scores.shape[0]
    shifted = scores - scores.max(axis=1, keepdims=True)
    exps = np.exp(shifted)
    probs = exps / exps.sum(axis=1, keepdims=True)
    loss = -np.log(probs[np.arange(N), y]).sum() / N
    dscores = probs.copy()
    dscores[np.arange(N), y] -= 1
    dscores /= N
    return loss, dscores
""",
        [
            (
                "exps.sum(axis=1, keepdims=True)",
                "exps.sum(axis=0, keepdims=True)",
                "softmax-over-the-batch",
            ),
            ("exps.sum(axis=1, keepdims=True)", "exps.sum()", "softmax-over-everything"),
            ("np.exp(shifted)", "np.exp(-shifted)", "exp-minus-z"),
            ("-np.log(probs[np.arange(N), y])", "np.log(probs[np.arange(N), y])", "no-minus"),
            ("[np.arange(N), y] -= 1", "[np.arange(N), y - 1] -= 1", "labels-from-one"),
            ("    dscores /= N\n", "", "gradient-not-divided"),
            ("dscores /= N", "dscores /= scores.shape[1]", "gradient-divided-by-classes"),
            ("scores.max(axis=1, keepdims=True)", "scores.max()", "one-max-for-the-batch"),
        ],
    ),
    Planted(
        "loops over examples and classes: (loss, gradient)",
        """
def f(x, y):
    N, C = x.shape
    loss = 0.0
    dx = np.zeros((N, C))
    for i in range(N):
        row = x[i] - max(x[i])
        total = 0.0
        for j in range(C):
            total += np.exp(row[j])
        loss += np.log(total) - row[y[i]]
        for j in range(C):
            p = np.exp(row[j]) / total
            dx[i, j] = (p - (1 if j == y[i] else 0)) / N
    return loss / N, dx
""",
        [
            (
                "        for j in range(C):\n            total",
                "        for j in range(C - 1):\n            total",
                "last-class-left-out",
            ),
            (
                "        for j in range(C):\n            total",
                "        for j in range(1, C):\n            total",
                "first-class-left-out",
            ),
            ("loss += np.log(total)", "loss = np.log(total)", "last-example-only"),
            ("row[y[i]]", "row[y[0]]", "first-label-for-all"),
            ("(p - (1 if", "(p + (1 if", "plus-one"),
            ("else 0)) / N", "else 0)) / C", "gradient-divided-by-classes"),
            ("return loss / N, dx", "return loss / N / N, dx", "divided-twice"),
            ("p = np.exp(row[j]) / total", "p = np.exp(row[j])", "not-normalised"),
        ],
    ),
    Planted(
        "one-hot labels: the loss",
        """
def f(logits, onehot):
    peak = np.max(logits, axis=-1, keepdims=True)
    lse = peak + np.log(np.sum(np.exp(logits - peak), axis=-1, keepdims=True))
    log_probs = logits - lse
    per_example = -np.sum(onehot * log_probs, axis=-1)
    return np.mean(per_example)
""",
        [
            (
                "-np.sum(onehot * log_probs, axis=-1)",
                "-onehot * log_probs",
                "mean-over-classes-too",
            ),
            ("-np.sum(onehot * log_probs, axis=-1)", "-np.sum(log_probs, axis=-1)", "all-classes"),
            (
                "-np.sum(onehot * log_probs, axis=-1)",
                "-np.sum(onehot * np.exp(log_probs), axis=-1)",
                "minus-probability",
            ),
            (
                "-np.sum(onehot * log_probs, axis=-1)",
                "-np.sum((1 - onehot) * log_probs, axis=-1)",
                "other-classes",
            ),
            ("peak + np.log", "np.log", "max-not-added-back"),
            ("np.mean(per_example)", "np.max(per_example)", "largest-loss"),
            ("log_probs = logits - lse", "log_probs = logits", "loss-is-minus-z"),
        ],
    ),
    Planted(
        "columns, one-hot labels: (loss, gradient)",
        """
def f(Z, Y):
    m = Z.shape[1]
    A = np.exp(Z - Z.max(axis=0))
    A = A / A.sum(axis=0)
    loss = -np.sum(Y * np.log(A)) / m
    dZ = (A - Y) / m
    return loss, dZ
""",
        [
            ("A.sum(axis=0)", "A.sum()", "softmax-over-everything"),
            (
                "-np.sum(Y * np.log(A)) / m",
                "-np.sum(Y * np.log(A)) / Z.shape[0]",
                "divided-by-classes",
            ),
            ("-np.sum(Y * np.log(A)) / m", "np.sum(Y * np.log(A)) / m", "no-minus"),
            ("-np.sum(Y * np.log(A)) / m", "-np.sum(Y * A) / m", "minus-probability"),
            ("(A - Y) / m", "(Y - A) / m", "gradient-flipped"),
            ("(A - Y) / m", "A - Y", "gradient-not-divided"),
            ("(A - Y) / m", "2 * (A - Y) / m", "gradient-doubled"),
        ],
    ),
    Planted(
        "softmax",
        """
def f(x):
    x = x - np.max(x, axis=-1, keepdims=True)
    e = np.exp(x)
    return e / np.sum(e, axis=-1, keepdims=True)
""",
        [
            ("    x = x - np.max(x, axis=-1, keepdims=True)\n", "", "no-max"),
            ("x = x - np.max", "x = x + np.max", "no-max"),
            ("np.exp(x)", "2**x", "two-to-the-z"),
            (
                "np.sum(e, axis=-1, keepdims=True)",
                "np.mean(e, axis=-1, keepdims=True)",
                "mean-for-sum-of-exp",
            ),
            (
                "np.sum(e, axis=-1, keepdims=True)",
                "(1 + np.sum(e, axis=-1, keepdims=True))",
                "one-in-the-denominator",
            ),
            ("np.sum(e, axis=-1, keepdims=True)", "np.sum(x, axis=-1, keepdims=True)", ""),
        ],
    ),
    Planted(
        "a layer: (loss, dW)",
        """
def f(W, X, y, reg):
    n = X.shape[0]
    s = X.dot(W)
    s = s - s.max(axis=1)[:, None]
    p = np.exp(s) / np.exp(s).sum(axis=1)[:, None]
    loss = np.mean(-np.log(p[np.arange(n), y])) + reg * np.sum(W * W)
    p[np.arange(n), y] -= 1
    dW = X.T.dot(p) / n + 2 * reg * W
    return loss, dW
""",
        [
            ("+ 2 * reg * W", "+ reg * W", "regularisation-gradient"),
            ("+ 2 * reg * W", "- 2 * reg * W", "regularisation-gradient"),
            ("X.T.dot(p) / n + 2 * reg * W", "X.T.dot(p) / n", "regularisation-gradient"),
            ("reg * np.sum(W * W)", "reg * np.sum(W)", ""),
            ("X.T.dot(p) / n", "X.T.dot(p)", "gradient-not-divided"),
            ("    p[np.arange(n), y] -= 1\n", "", "no-minus-one"),
            ("p[np.arange(n), y] -= 1", "p[:, y] -= 1", "one-off-for-all-rows"),
            ("dW = X.T", "dW = -X.T", "gradient-flipped"),
        ],
    ),
    Planted(
        "probabilities: the loss",
        """
def f(y_hat, y):
    n = y_hat.shape[0]
    picked = y_hat[np.arange(n), y]
    losses = -np.log(picked)
    return losses.sum() / n
""",
        [
            ("-np.log(picked)", "np.log(picked)", "no-minus"),
            ("-np.log(picked)", "-picked", "minus-probability"),
            ("-np.log(picked)", "-np.log(1 - picked)", "log-of-one-minus-a"),
            ("[np.arange(n), y]", "[np.arange(n), y - 1]", "labels-from-one"),
            ("y_hat[np.arange(n), y]", "y_hat[:, y]", "all-columns-for-all-rows"),
            ("losses.sum() / n", "losses.sum() / y_hat.shape[1]", "divided-by-classes"),
            ("losses.sum() / n", "losses.sum() / n / n", "divided-twice"),
        ],
    ),
    Planted(
        "a class with forward and backward",
        """
class f:
    def forward(self, x, t):
        self.t = t
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.y = e / e.sum(axis=1, keepdims=True)
        return -np.log(self.y[np.arange(len(t)), t]).mean()

    def backward(self, dout=1):
        dx = self.y.copy()
        dx[np.arange(len(self.t)), self.t] -= 1
        return dout * dx / len(self.t)
""",
        [
            ("e / e.sum(axis=1, keepdims=True)", "e", "not-normalised"),
            ("x.max(axis=1, keepdims=True)", "x.max(axis=0, keepdims=True)", "max-of-columns"),
            ("]).mean()", "]).mean() * 2", "doubled"),
            ("        dx[np.arange(len(self.t)), self.t] -= 1\n", "", "no-minus-one"),
            ("self.t] -= 1", "self.t] += 1", "plus-one"),
            ("dx / len(self.t)", "dx", "gradient-not-divided"),
            ("return dout * dx", "return -dout * dx", "gradient-flipped"),
        ],
    ),
    Planted(
        "PyTorch: the loss",
        """
def f(logits, target):
    log_probs = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    picked = log_probs.gather(1, target.unsqueeze(1)).squeeze(1)
    return -picked.mean()
""",
        [
            (
                "torch.logsumexp(logits, dim=1, keepdim=True)",
                "torch.logsumexp(logits, dim=0, keepdim=True)",
                "softmax-over-the-batch",
            ),
            (
                "torch.logsumexp(logits, dim=1, keepdim=True)",
                "logits.sum(dim=1, keepdim=True)",
                "sum-of-z",
            ),
            (
                "torch.logsumexp(logits, dim=1, keepdim=True)",
                "logits.exp().sum(1, keepdim=True).log()",
                "no-max",
            ),
            ("-picked.mean()", "picked.mean()", "no-minus"),
            ("-picked.mean()", "-log_probs.mean()", "all-classes"),
            ("-picked.mean()", "-picked.exp().mean()", "minus-probability"),
            ("target.unsqueeze(1)", "logits.argmax(1, keepdim=True)", "loss-of-the-prediction"),
        ],
    ),
]
