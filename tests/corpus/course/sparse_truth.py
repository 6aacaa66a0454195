import numpy as np
from scipy.sparse import coo_matrix


def softmaxCost(W, b, numClasses, inputSize, decay, data, labels):
  """Computes and returns (cost, gradient of W, gradient of b)

  W, b - weights (numClasses, inputSize) and bias (numClasses,)
  decay - weight decay parameter
  data - the inputSize x M matrix of examples
  labels - the class of each example, (M,)
  """
  M = data.shape[1]
  truth = coo_matrix((np.ones(M), (labels, np.arange(M))), shape=(numClasses, M)).toarray()
  s = W.reshape(numClasses, inputSize).dot(data) + b[:, None]
  s -= s.max(axis=0)
  logp = s - np.log(np.exp(s).sum(axis=0))
  cost = -(truth * logp).sum() / M + decay / 2 * (W ** 2).sum()
  d = (np.exp(logp) - truth) / M
  return cost, d.dot(data.T) + decay * W, d.sum(axis=1)
