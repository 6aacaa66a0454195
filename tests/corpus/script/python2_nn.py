import cPickle
import numpy as np


def unpickle(file):
    fo = open(file, 'rb')
    dict = cPickle.load(fo)
    fo.close()
    return dict


def softmax_loss(x, y):
  """
  Input:
  - x: scores, (N, C)
  - y: labels, (N,)
  """
  if x.ndim <> 2:
    print 'x has %d dimensions' % x.ndim
    raise ValueError, 'x must be a matrix'
  N = x.shape[0]
  loss = 0.0
  dx = np.zeros(x.shape)
  for i in xrange(N):
    row = x[i] - np.max(x[i])
    p = np.exp(row) / np.sum(np.exp(row))
    loss += np.log(np.sum(np.exp(row))) - row[y[i]]
    dx[i] = p
    dx[i, y[i]] -= 1
  return loss / N, dx / N


def softmax_loss_first(x, y):
  N = x.shape[0]
  loss = 0.0
  dx = np.zeros(x.shape)
  for i in xrange(N):
    row = x[i] - np.max(x[i])
    p = np.exp(row) / np.sum(np.exp(row))
    loss += np.log(np.sum(np.exp(row))) - row[y[0]]
    dx[i] = p
    dx[i, y[0]] -= 1
  return loss / N, dx / N


if __name__ == '__main__':
  batch = unpickle('data_batch_1')
  print batch['labels'][:10]
