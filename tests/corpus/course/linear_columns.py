import numpy as np

# images are stored one per column here, so W has one row per class


def softmax_loss_loops(W, X, y, reg):
    """W: C x K, X: K x N, y: N labels in 0..C-1, reg: float.  Returns loss and dW (C x K)."""
    C, K = W.shape
    N = X.shape[1]
    loss, dW = 0.0, np.zeros((C, K))
    for n in range(N):
        score = W.dot(X[:, n])
        score = score - score.max()
        p = np.exp(score) / np.exp(score).sum()
        loss += np.log(np.exp(score).sum()) - score[y[n]]
        for c in range(C):
            dW[c] += (p[c] - float(c == y[n])) * X[:, n]
    loss = loss / N + 0.5 * reg * (W ** 2).sum()
    return loss, dW / N + reg * W


def softmax_loss_matrix(W, X, y, reg):
    N = X.shape[1]
    S = W.dot(X)
    S = S - S.max(axis=0)
    E = np.exp(S)
    Z = E.sum(axis=0)
    loss = (np.log(Z) - S[y, np.arange(N)]).mean() + 0.5 * reg * (W ** 2).sum()
    P = E / Z
    P[y, np.arange(N)] -= 1
    return loss, P.dot(X.T) / N + reg * W


def softmax_loss_flipped(W, X, y, reg):
    # dW has the wrong sign, found by my gradient check but I don't see why
    N = X.shape[1]
    S = W.dot(X)
    S = S - S.max(axis=0)
    E = np.exp(S)
    Z = E.sum(axis=0)
    T = np.zeros_like(S)
    T[y, np.arange(N)] = 1
    loss = (np.log(Z) - (S * T).sum(axis=0)).mean() + 0.5 * reg * (W ** 2).sum()
    return loss, (T - E / Z).dot(X.T) / N + reg * W
