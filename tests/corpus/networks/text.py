"""A recurrent network of characters; its weights are globals."""

import numpy as np

vocab_size, hidden_size = 6, 4
draw = np.random.default_rng(2)
Wxh = draw.normal(size=(hidden_size, vocab_size)) / 10
Whh = draw.normal(size=(hidden_size, hidden_size)) / 10
Why = draw.normal(size=(vocab_size, hidden_size)) / 10
bh, by = np.zeros((hidden_size, 1)), np.zeros((vocab_size, 1))


def _forward(inputs, targets, hprev):
    x, h, p, total = {}, {-1: hprev}, {}, 0.0
    for t, letter in enumerate(inputs):
        x[t] = np.zeros((vocab_size, 1))
        x[t][letter] = 1
        h[t] = np.tanh(Wxh @ x[t] + Whh @ h[t - 1] + bh)
        scores = Why @ h[t] + by
        p[t] = np.exp(scores - scores.max())
        p[t] /= p[t].sum()
        total -= np.log(p[t][targets[t], 0])
    return x, h, p, total


def loss_of_text(inputs, targets, hprev):
    x, h, p, loss = _forward(inputs, targets, hprev)
    dWxh, dWhh, dWhy, dbh, dby = (np.zeros_like(w) for w in (Wxh, Whh, Why, bh, by))
    later = np.zeros_like(hprev)
    for t in reversed(range(len(inputs))):
        of_scores = p[t].copy()
        of_scores[targets[t]] -= 1
        dWhy += of_scores @ h[t].T
        dby += of_scores
        of_sum = (1 - h[t] ** 2) * (Why.T @ of_scores + later)
        dWxh += of_sum @ x[t].T
        dWhh += of_sum @ h[t - 1].T
        dbh += of_sum
        later = Whh.T @ of_sum
    return loss, dWxh, dWhh, dWhy, dbh, dby, h[len(inputs) - 1]


def loss_of_text_forgetful(inputs, targets, hprev):
    x, h, p, loss = _forward(inputs, targets, hprev)
    dWxh, dWhh, dWhy, dbh, dby = (np.zeros_like(w) for w in (Wxh, Whh, Why, bh, by))
    for t in reversed(range(len(inputs))):
        of_scores = p[t].copy()
        of_scores[targets[t]] -= 1
        dWhy += of_scores @ h[t].T
        dby += of_scores
        of_sum = (1 - h[t] ** 2) * (Why.T @ of_scores)  # nothing from the steps after
        dWxh += of_sum @ x[t].T
        dWhh += of_sum @ h[t - 1].T
        dbh += of_sum
    return loss, dWxh, dWhh, dWhy, dbh, dby, h[len(inputs) - 1]
