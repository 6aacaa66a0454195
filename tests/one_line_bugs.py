"""Right functions in the shapes that people write, and one-line bugs in each with its name.

A bug is a replacement in the source; the ids are those that the right function does not have.
"""

from __future__ import annotations

Bugs = list[tuple[str, str, set[str]]]

SHAPES: dict[str, tuple[str, Bugs]] = {
    "naive_layer": (
        """
def f(W, X, y, reg):
    loss = 0.0
    dW = np.zeros_like(W)
    num_train = X.shape[0]
    num_classes = W.shape[1]
    for i in range(num_train):
        scores = X[i].dot(W)
        scores -= np.max(scores)
        p = np.exp(scores) / np.sum(np.exp(scores))
        loss += -np.log(p[y[i]])
        for j in range(num_classes):
            dW[:, j] += p[j] * X[i]
        dW[:, y[i]] -= X[i]
    loss /= num_train
    dW /= num_train
    loss += reg * np.sum(W * W)
    dW += 2 * reg * W
    return loss, dW
""",
        [
            ("        scores -= np.max(scores)\n", "", {"no-max"}),
            ("loss += -np.log", "loss += np.log", {"no-minus"}),
            ("loss += -np.log(p[y[i]])", "loss = -np.log(p[y[i]])", {"last-example-only"}),
            ("range(num_classes)", "range(1, num_classes)", {"first-class-has-no-gradient"}),
            ("range(num_classes)", "range(num_classes - 1)", {"last-class-has-no-gradient"}),
            (
                "range(num_train)",
                "range(1, num_train)",
                {"first-example-left-out", "gradient-of-the-first-left-out"},
            ),
            (
                "range(num_train)",
                "range(num_train - 1)",
                {"gradient-of-the-last-left-out", "last-example-left-out"},
            ),
            (
                "        dW[:, y[i]] -= X[i]",
                "            dW[:, y[i]] -= X[i]",
                {"minus-one-for-each-class"},
            ),
            ("dW[:, y[i]] -= X[i]", "dW[:, y[i]] = -X[i]", {"column-assigned"}),
            ("dW[:, y[i]] -= X[i]", "dW[:, y[i]] += X[i]", {"plus-one"}),
            ("        dW[:, y[i]] -= X[i]\n", "", {"no-minus-one"}),
            ("dW[:, j] += p", "dW[:, j] = p", {"gradient-of-the-last-only"}),
            ("dW[:, j] += p", "dW[:, j] -= p", {"others-negative"}),
            ("p[j] * X[i]", "X[i]", {"no-softmax-in-the-gradient"}),
            ("    dW /= num_train\n", "", {"gradient-not-divided"}),
            ("    loss /= num_train\n", "", {"loss-and-gradient-differ", "sum"}),
            ("    loss /= num_train\n", "        loss /= num_train\n", {"divided-in-the-loop"}),
            ("loss /= num_train", "loss //= num_train", {"floor-divided"}),
            ("dW /= num_train", "dW //= num_train", {"gradient-floor-divided"}),
            ("loss /= num_train", "loss /= num_train + 1", {"divided-by-n-plus-1"}),
            ("dW /= num_train", "dW /= num_train + 1", {"gradient-divided-by-n-plus-1"}),
            ("loss /= num_train", "loss /= num_classes", {"divided-by-classes"}),
            ("dW /= num_train", "dW /= num_classes", {"gradient-divided-by-classes"}),
            (
                "np.exp(scores) / np.sum(np.exp(scores))",
                "np.exp(scores) / np.sum(scores)",
                {"sum-of-z"},
            ),
            ("np.exp(scores) / np.sum(np.exp(scores))", "np.exp(scores)", {"not-normalised"}),
            (
                "np.exp(scores) / np.sum(np.exp(scores))",
                "np.exp(scores) / np.max(np.exp(scores))",
                {"not-normalised"},
            ),
            (
                "np.exp(scores) / np.sum(np.exp(scores))",
                "np.exp(scores) / np.mean(np.exp(scores))",
                {"mean-for-sum-of-exp"},
            ),
            (
                "np.exp(scores) / np.sum(np.exp(scores))",
                "np.exp(-scores) / np.sum(np.exp(-scores))",
                {"exp-minus-z"},
            ),
            ("np.exp(scores) / np.sum(np.exp(scores))", "scores / np.sum(scores)", {"no-exp"}),
            (
                "loss += reg * np.sum(W * W)",
                "loss += 0.5 * reg * np.sum(W * W)",
                {"regularisation-gradient"},
            ),
            ("dW += 2 * reg * W", "dW += reg * W", {"regularisation-gradient"}),
            ("    dW += 2 * reg * W\n", "", {"regularisation-gradient"}),
            ("    loss += reg * np.sum(W * W)\n", "", {"regularisation-gradient"}),
            ("reg * np.sum(W * W)", "reg * np.sum(W)", {"regularisation-not-squared"}),
            ("reg * np.sum(W * W)", "reg * np.linalg.norm(W)", {"regularisation-by-the-norm"}),
            ("dW += 2 * reg * W", "dW = 2 * reg * W", {"zero-gradient"}),
            ("loss += reg", "loss -= reg", {"regularisation-wrong"}),
            ("y[i]] -= X", "y[i] - 1] -= X", {"labels-from-one"}),
            ("np.log(p[y[i]])", "np.log2(p[y[i]])", {"bits", "loss-and-gradient-differ"}),
            ("np.log(p[y[i]])", "np.log10(p[y[i]])", {"log10"}),
            ("-np.log(p[y[i]])", "-p[y[i]]", {"minus-probability"}),
            ("-np.log(p[y[i]])", "1 - p[y[i]]", {"one-minus-probability"}),
            ("-np.log(p[y[i]])", "-np.log(1 - p[y[i]])", {"log-of-one-minus-a"}),
            ("-np.log(p[y[i]])", "-np.log(np.max(p))", {"loss-of-the-prediction"}),
            ("-np.log(p[y[i]])", "-np.sum(np.log(p))", {"all-classes"}),
            (
                "return loss, dW",
                "return loss, -dW",
                {"gradient-flipped", "regularisation-gradient"},
            ),
            ("np.max(scores)", "np.min(scores)", {"not-the-maximum"}),
            ("np.max(scores)", "np.mean(scores)", {"not-the-maximum"}),
        ],
    ),
    "vec_layer": (
        """
def f(W, X, y, reg):
    N = X.shape[0]
    scores = X.dot(W)
    scores -= scores.max(axis=1, keepdims=True)
    exp_scores = np.exp(scores)
    probs = exp_scores / exp_scores.sum(axis=1, keepdims=True)
    loss = -np.log(probs[np.arange(N), y]).sum()
    dscores = probs.copy()
    dscores[np.arange(N), y] -= 1
    dW = X.T.dot(dscores)
    loss /= N
    dW /= N
    loss += 0.5 * reg * np.sum(W * W)
    dW += reg * W
    return loss, dW
""",
        [
            ("scores.max(axis=1, keepdims=True)", "scores.max()", {"one-max-for-the-batch"}),
            ("scores.max(axis=1, keepdims=True)", "scores.max(axis=0)", {"max-of-columns"}),
            ("    scores -= scores.max(axis=1, keepdims=True)\n", "", {"no-max"}),
            (
                "exp_scores.sum(axis=1, keepdims=True)",
                "exp_scores.sum()",
                {"softmax-over-everything"},
            ),
            (
                "exp_scores.sum(axis=1, keepdims=True)",
                "exp_scores.sum(axis=0)",
                {"softmax-over-the-batch"},
            ),
            (
                "exp_scores.sum(axis=1, keepdims=True)",
                "exp_scores.sum(axis=0, keepdims=True)",
                {"softmax-over-the-batch"},
            ),
            (
                "exp_scores.sum(axis=1, keepdims=True)",
                "(1 + exp_scores.sum(axis=1, keepdims=True))",
                {"one-in-the-denominator"},
            ),
            ("    dscores[np.arange(N), y] -= 1\n", "", {"no-minus-one"}),
            (
                "dscores[np.arange(N), y] -= 1",
                "dscores[np.arange(N), y] = -1",
                {"set-to-minus-one"},
            ),
            ("dscores[np.arange(N), y] -= 1", "dscores[:, y] -= 1", {"one-off-for-all-rows"}),
            ("dscores[np.arange(N), y] -= 1", "dscores[np.arange(N), y] += 1", {"plus-one"}),
            ("dscores[np.arange(N), y] -= 1", "dscores -= 1", {"minus-one-everywhere"}),
            (
                "dscores[np.arange(N), y] -= 1",
                "dscores[np.arange(N), y] -= 1.0 / N",
                {"divided-in-part"},
            ),
            (
                "dscores[np.arange(N), y] -= 1",
                "dscores = dscores / N; dscores[np.arange(N), y] -= 1",
                {"gradient-divided-twice", "minus-one-after-the-division"},
            ),
            ("    dW /= N\n", "", {"gradient-not-divided"}),
            ("    loss /= N\n", "", {"loss-and-gradient-differ", "sum"}),
            ("loss /= N", "loss /= N * W.shape[1]", {"mean-over-classes-too"}),
            ("dW /= N", "dW /= N * N", {"gradient-divided-twice"}),
            (
                "-np.log(probs[np.arange(N), y]).sum()",
                "-np.log(probs[:, y]).sum()",
                {"all-columns-for-all-rows"},
            ),
            ("-np.log(probs[np.arange(N), y]).sum()", "-np.log(probs[y]).sum()", {"label-as-row"}),
            (
                "-np.log(probs[np.arange(N), y]).sum()",
                "-np.log(probs[np.arange(N), y]).mean()",
                {"divided-twice"},
            ),
            (
                "-np.log(probs[np.arange(N), y]).sum()",
                "-np.log(probs[np.arange(N), y].sum())",
                {"log-of-the-mean"},
            ),
            ("-np.log(probs[np.arange(N), y]).sum()", "-np.log(probs).sum()", {"all-classes"}),
            (
                "-np.log(probs[np.arange(N), y]).sum()",
                "np.log(probs[np.arange(N), y]).sum()",
                {"no-minus"},
            ),
            ("dW += reg * W", "dW += 2 * reg * W", {"regularisation-gradient"}),
            ("    loss += 0.5 * reg * np.sum(W * W)\n", "", {"regularisation-gradient"}),
            (
                "0.5 * reg * np.sum(W * W)",
                "0.5 * reg * np.sum(W * W) / N",
                {"regularisation-scaled-once"},
            ),
            ("loss += 0.5 * reg * np.sum(W * W)", "loss = 0.5 * reg * np.sum(W * W)", {"constant"}),
            ("np.sum(W * W)", "np.sum(W)", {"regularisation-not-squared"}),
        ],
    ),
    "logsumexp": (
        """
def f(z, y):
    m = z.max(axis=1)
    lse = m + np.log(np.exp(z - m[:, None]).sum(axis=1))
    return (lse - z[np.arange(len(y)), y]).mean()
""",
        [
            ("m + np.log", "np.log", {"max-not-added-back"}),
            ("np.exp(z - m[:, None])", "np.exp(z)", {"max-subtracted-twice"}),
            ("np.exp(z - m[:, None])", "np.exp(z - m)", {"no-keepdims"}),
            (".mean()", ".sum()", {"sum"}),
            (".mean()", ".max()", {"largest-loss"}),
            (".mean()", ".sum() / (len(y) + 1)", {"divided-by-n-plus-1"}),
            (".mean()", ".sum() / z.shape[1]", {"divided-by-classes"}),
            ("lse - z[np.arange(len(y)), y]", "lse + z[np.arange(len(y)), y]", {"signs-differ"}),
            ("lse - z[np.arange(len(y)), y]", "z[np.arange(len(y)), y] - lse", {"no-minus"}),
            ("lse - z[np.arange(len(y)), y]", "lse - z[:, y]", {"all-columns-for-all-rows"}),
            ("lse - z[np.arange(len(y)), y]", "lse", {"true-output-missing"}),
            ("lse - z[np.arange(len(y)), y]", "lse - z.max(axis=1)", {"loss-of-the-prediction"}),
            (
                "lse - z[np.arange(len(y)), y]",
                "lse - z[np.arange(len(y)), y - 1]",
                {"labels-from-one"},
            ),
            (".sum(axis=1))", ".mean(axis=1))", {"mean-for-sum-of-exp"}),
            (".sum(axis=1))", ".max(axis=1))", {"not-normalised"}),
            (".sum(axis=1))", ".sum())", {"softmax-over-everything"}),
            (".sum(axis=1))", ".sum(axis=1) + 1e-8)", {"epsilon-in-the-sum"}),
            (".sum(axis=1))", ".sum(axis=1) + 1)", {"one-in-the-denominator"}),
            ("np.log(", "np.log10(", {"other-log-of-the-sum"}),
            ("z.max(axis=1)", "z.max()*np.ones(len(y))", {"one-max-for-the-batch"}),
        ],
    ),
    "onehot": (
        """
def f(z, q):
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    a = e / np.sum(e, axis=1, keepdims=True)
    loss = -np.sum(q * np.log(a + 1e-12)) / z.shape[0]
    grad = (a - q) / z.shape[0]
    return loss, grad
""",
        [
            ("z - np.max(z, axis=1, keepdims=True)", "z", {"no-max"}),
            ("np.max(z, axis=1, keepdims=True)", "np.max(z)", {"one-max-for-the-batch"}),
            ("np.sum(e, axis=1, keepdims=True)", "np.sum(e)", {"softmax-over-everything"}),
            (
                "np.sum(e, axis=1, keepdims=True)",
                "np.sum(e, axis=0, keepdims=True)",
                {"softmax-over-the-batch"},
            ),
            (
                "np.sum(e, axis=1, keepdims=True)",
                "np.max(e, axis=1, keepdims=True)",
                {"not-normalised"},
            ),
            (
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[0]",
                "-np.mean(q * np.log(a + 1e-12))",
                {"mean-over-classes-too"},
            ),
            (
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[0]",
                "-np.sum(a * np.log(q + 1e-12)) / z.shape[0]",
                {"arguments-swapped"},
            ),
            (
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[0]",
                "-np.sum(q * np.log(a + 1e-12) + (1 - q) * np.log(1 - a + 1e-12)) / z.shape[0]",
                {"binary-cross-entropy"},
            ),
            (
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[0]",
                "-np.mean(q * np.log(a + 1e-12) + (1 - q) * np.log(1 - a + 1e-12))",
                {"binary-cross-entropy"},
            ),
            (
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[0]",
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[1]",
                {"divided-by-classes"},
            ),
            (
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[0]",
                "-np.sum(q * np.log(a + 1e-12))",
                {"loss-and-gradient-differ", "sum"},
            ),
            (
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[0]",
                "-np.sum(q * np.log(a + 1e-12)) / (2 * z.shape[0])",
                {"halved"},
            ),
            (
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[0]",
                "-np.sum(q * a) / z.shape[0]",
                {"minus-probability"},
            ),
            (
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[0]",
                "-np.sum(np.log(a + 1e-12)) / z.shape[0]",
                {"all-classes"},
            ),
            (
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[0]",
                "np.sum((q - a) ** 2) / z.shape[0]",
                {"squared-error"},
            ),
            (
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[0]",
                "np.mean((q - a) ** 2)",
                {"mean-squared-error"},
            ),
            (
                "-np.sum(q * np.log(a + 1e-12)) / z.shape[0]",
                "np.sum((q - a) ** 2) / (2 * z.shape[0])",
                {"half-squared-error"},
            ),
            ("(a - q) / z.shape[0]", "(a - q)", {"gradient-not-divided"}),
            ("(a - q) / z.shape[0]", "(q - a) / z.shape[0]", {"gradient-flipped"}),
            ("(a - q) / z.shape[0]", "a * (1 - a) / z.shape[0]", {"derivative-of-the-probability"}),
            ("(a - q) / z.shape[0]", "-q / a / z.shape[0]", {"by-the-probabilities"}),
            ("(a - q) / z.shape[0]", "(a - q) * a * (1 - a) / z.shape[0]", {"times-a-one-minus-a"}),
            ("(a - q) / z.shape[0]", "(a - q) / z.shape[1]", {"gradient-divided-by-classes"}),
            ("(a - q) / z.shape[0]", "2 * (a - q) / z.shape[0]", {"gradient-doubled"}),
            ("(a - q) / z.shape[0]", "(a - q) / z.size", {"gradient-divided-by-both"}),
            (
                "(a - q) / z.shape[0]",
                "(a - q).mean(axis=0) * np.ones_like(z)",
                {"gradient-of-rows-averaged"},
            ),
            ("(a - q) / z.shape[0]", "-q * (1 - a) / z.shape[0]", {"true-class-only"}),
            (
                "(a - q) / z.shape[0]",
                "np.exp(z) / z.shape[0] - q",
                {"loss-is-minus-z", "minus-one-after-the-division"},
            ),
        ],
    ),
    "one_list": (
        """
def f(z, y):
    m = max(z)
    total = 0.0
    for v in z:
        total += math.exp(v - m)
    return -(z[y] - m - math.log(total))
""",
        [
            ("m = max(z)", "m = 0", {"no-max"}),
            ("m = max(z)", "m = min(z)", {"not-the-maximum"}),
            ("m = max(z)", "m = z[0]", {"not-the-maximum"}),
            ("for v in z", "for v in z[1:]", {"first-class-left-out"}),
            ("for v in z", "for v in z[:-1]", {"last-class-left-out"}),
            ("total += ", "total = ", {"sum-assigned"}),
            ("math.exp(v - m)", "math.exp(v)", {"max-subtracted-twice"}),
            ("math.exp(v - m)", "math.exp(m - v)", {"signs-differ"}),
            ("z[y] - m -", "z[y] -", {"max-not-added-back"}),
            ("-(z[y]", "(z[y]", {"no-minus"}),
            ("z[y] - m - math.log(total)", "z[y] - m", {"not-normalised"}),
            ("z[y] - m - math.log(total)", "z[y] - m + math.log(total)", {"times-the-sum"}),
            ("z[y] - m", "z[y - 1] - m", {"labels-from-one"}),
            ("math.log(total)", "math.log2(total)", {"other-log-of-the-sum"}),
            ("math.log(total)", "math.log(total + 1e-9)", {"epsilon-in-the-sum"}),
            ("math.log(total)", "total", {"sum-without-log"}),
            ("total = 0.0", "total = 1.0", {"one-in-the-denominator"}),
            ("math.log(total)", "math.log(total / len(z))", {"mean-for-sum-of-exp"}),
        ],
    ),
    "loops_logits": (
        """
def f(logits, labels):
    n, c = logits.shape
    loss = 0.0
    grad = np.zeros((n, c))
    for i in range(n):
        row = logits[i] - logits[i].max()
        total = np.exp(row).sum()
        loss += np.log(total) - row[labels[i]]
        for k in range(c):
            p = np.exp(row[k]) / total
            if k == labels[i]:
                grad[i, k] = (p - 1) / n
            else:
                grad[i, k] = p / n
    return loss / n, grad
""",
        [
            ("logits[i] - logits[i].max()", "logits[i]", {"no-max"}),
            ("logits[i] - logits[i].max()", "logits[i] - logits.max()", {"one-max-for-the-batch"}),
            ("k == labels[i]", "k == labels[k]", {"label-of-the-class-index"}),
            ("k == labels[i]", "k == i", {"row-number-as-label"}),
            ("k == labels[i]", "k != labels[i]", {"branches-swapped"}),
            ("(p - 1) / n", "(1 - p) / n", {"true-class-flipped"}),
            ("(p - 1) / n", "p - 1 / n", {"divided-in-part"}),
            ("(p - 1) / n", "-p / n", {"minus-a-for-the-true-class"}),
            ("(p - 1) / n", "p - 1", {"divided-in-part"}),
            ("(p - 1) / n", "-1 / n", {"set-to-minus-one"}),
            ("grad[i, k] = p / n", "grad[i, k] = -p / n", {"others-negative"}),
            ("grad[i, k] = p / n", "grad[i, k] = p", {"divided-in-part"}),
            ("grad[i, k] = p / n", "pass", {"true-class-only"}),
            (
                "grad[i, k] = p / n",
                "grad[i, k] = p * (1 - p) / n",
                {"derivative-of-the-probability"},
            ),
            ("range(c)", "range(1, c)", {"first-class-has-no-gradient"}),
            ("range(c)", "range(c - 1)", {"last-class-has-no-gradient"}),
            (
                "range(n)",
                "range(1, n)",
                {"first-example-left-out", "gradient-of-the-first-left-out"},
            ),
            (
                "range(n)",
                "range(n - 1)",
                {"gradient-of-the-last-left-out", "last-example-left-out"},
            ),
            ("np.log(total) - row[labels[i]]", "row[labels[i]] - np.log(total)", {"no-minus"}),
            ("np.log(total) - row[labels[i]]", "-row[labels[i]]", {"not-normalised"}),
            ("row[labels[i]]", "logits[i][labels[i]]", {"max-not-added-back"}),
            ("row[labels[i]]", "row[labels[0]]", {"first-label-for-all"}),
            ("row[labels[i]]", "row[labels[-1]]", {"last-label-for-all"}),
            ("row[labels[i]]", "row.max()", {"loss-of-the-prediction"}),
            ("loss += ", "loss = ", {"last-example-only"}),
            ("return loss / n", "return loss", {"loss-and-gradient-differ", "sum"}),
            ("return loss / n", "return loss // n", {"floor-divided"}),
            ("return loss / n", "return loss / c", {"divided-by-classes"}),
            ("return loss / n", "return loss / (n * c)", {"mean-over-classes-too"}),
            (
                "    return loss / n",
                "        return loss / n",
                {"first-example-only", "gradient-of-the-first-only"},
            ),
            ("total = np.exp(row).sum()", "total = np.exp(row).mean()", {"mean-for-sum-of-exp"}),
            (
                "total = np.exp(row).sum()",
                "total = np.exp(row[1:]).sum()",
                {"first-class-left-out"},
            ),
            (
                "total = np.exp(row).sum()",
                "total = np.exp(row).sum() + 1e-6",
                {"epsilon-in-the-sum"},
            ),
            ("total = np.exp(row).sum()", "total = row.sum()", {"sum-of-z"}),
            (
                "grad[i, k] = (p - 1) / n",
                "grad[i, k] = (p - 1) / n; break",
                {"classes-after-the-true-one-missing"},
            ),
        ],
    ),
    "softmax_rows": (
        """
def softmax(x):
    shifted = x - np.max(x, axis=1, keepdims=True)
    e = np.exp(shifted)
    return e / np.sum(e, axis=1, keepdims=True)
f = softmax
""",
        [
            ("x - np.max(x, axis=1, keepdims=True)", "x", {"no-max"}),
            ("np.max(x, axis=1, keepdims=True)", "np.max(x)", {"one-max-for-the-batch"}),
            ("np.max(x, axis=1, keepdims=True)", "np.max(x, axis=0)", {"max-of-columns"}),
            ("np.sum(e, axis=1, keepdims=True)", "np.sum(e)", {"softmax-over-everything"}),
            ("np.sum(e, axis=1, keepdims=True)", "np.sum(e, axis=0)", {"softmax-over-the-batch"}),
            ("np.sum(e, axis=1, keepdims=True)", "np.sum(e, axis=1)", {"no-keepdims"}),
            (
                "np.sum(e, axis=1, keepdims=True)",
                "np.sum(np.exp(x), axis=1, keepdims=True)",
                {"max-subtracted-twice"},
            ),
            ("np.exp(shifted)", "np.exp(-shifted)", {"exp-minus-z"}),
            ("np.exp(shifted)", "np.exp(x)", {"no-max"}),
            ("np.exp(shifted)", "np.exp(shifted) ** 2", {"squared-exponentials"}),
            ("np.exp(shifted)", "shifted", {"no-exp"}),
            ("np.exp(shifted)", "np.abs(shifted)", {"no-exp"}),
            ("e / np.sum", "e * np.sum", {"times-the-sum"}),
            ("e / np.sum", "np.log(e) / np.sum", {"no-exp"}),
            ("return e / np.sum(e, axis=1, keepdims=True)", "return e", {"not-normalised"}),
            (
                "return e / np.sum(e, axis=1, keepdims=True)",
                "return 1 / (1 + np.exp(-x))",
                {"sigmoid-for-softmax"},
            ),
        ],
    ),
    "columns": (
        """
def f(Z, Y):
    m = Z.shape[1]
    T = np.exp(Z - Z.max(axis=0))
    A = T / T.sum(axis=0)
    cost = -np.sum(Y * np.log(A)) / m
    dZ = (A - Y) / m
    return np.squeeze(cost), dZ
""",
        [
            ("T.sum(axis=0)", "T.sum()", {"softmax-over-everything"}),
            (
                "np.sum(Y * np.log(A)) / m",
                "np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / m",
                {"binary-cross-entropy"},
            ),
            ("(A - Y) / m", "(Y - A) / m", {"gradient-flipped"}),
            ("-np.sum", "np.sum", {"no-minus"}),
        ],
    ),
    "one_grad": (
        """
def f(z, y):
    e = np.exp(z - np.max(z))
    p = e / np.sum(e)
    loss = -np.log(p[y])
    dz = p.copy()
    dz[y] -= 1
    return loss, dz
""",
        [
            ("z - np.max(z)", "z", {"no-max"}),
            ("dz[y] -= 1", "dz[y] = -1", {"set-to-minus-one"}),
            ("dz[y] -= 1", "dz[y] += 1", {"plus-one"}),
            ("dz[y] -= 1", "dz -= 1", {"minus-one-everywhere"}),
            ("    dz[y] -= 1\n", "", {"no-minus-one"}),
            ("-np.log(p[y])", "np.log(p[y])", {"no-minus"}),
            ("-np.log(p[y])", "-np.log(p).sum()", {"all-classes"}),
            ("-np.log(p[y])", "-np.log(p).mean()", {"all-classes", "mean-over-classes-too"}),
            ("-np.log(p[y])", "-p[y]", {"minus-probability"}),
            ("-np.log(p[y])", "-np.log(p.max())", {"loss-of-the-prediction"}),
            ("e / np.sum(e)", "e / np.sum(e[1:])", {"first-class-left-out"}),
            ("e / np.sum(e)", "e", {"not-normalised"}),
            ("np.exp(", "np.exp2(", {"two-to-the-z"}),
        ],
    ),
}
