from __future__ import print_function
import numpy as np
from random import shuffle
from past.builtins import xrange


def softmax_loss_naive(W, X, y, reg):
  """
  Softmax loss function, with explicit loops.

  Inputs: D features, C classes, minibatch of N examples.
  - W: numpy array (D, C), the weights
  - X: numpy array (N, D), the minibatch
  - y: numpy array (N,), labels 0 <= c < C
  - reg: (float) strength of the regularization

  Returns (loss as a float, gradient with respect to W)
  """
  loss = 0.0
  dW = np.zeros_like(W)
  num_train, num_class = X.shape[0], W.shape[1]
  for i in xrange(num_train):
    f = X[i].dot(W)
    f -= f.max()          # keeps exp in range
    total = np.sum(np.exp(f))
    loss += np.log(total) - f[y[i]]
    for k in xrange(num_class):
      prob = np.exp(f[k]) / total
      dW[:, k] += (prob - (k == y[i])) * X[i]
  loss = loss / num_train + reg * np.sum(W ** 2)
  dW = dW / num_train + 2 * reg * W
  return loss, dW


def softmax_loss_vectorized(W, X, y, reg):
  """Same inputs and outputs as softmax_loss_naive, no loops."""
  n = X.shape[0]
  scores = np.dot(X, W)
  scores -= scores.max(axis=1).reshape(n, 1)
  exps = np.exp(scores)
  norm = exps.sum(axis=1)
  loss = np.mean(np.log(norm) - scores[np.arange(n), y])
  loss += reg * np.sum(W * W)

  coeff = exps / norm[:, np.newaxis]
  coeff[range(n), y] -= 1
  dW = X.T.dot(coeff) / n
  dW += 2 * reg * W
  return loss, dW
