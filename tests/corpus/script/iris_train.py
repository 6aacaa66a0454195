# Softmax regression on iris.  Python 2.7
import numpy as np
import pandas as pd
import matplotlib.pyplot as plt
from sklearn.datasets import load_iris

LEARNING_RATE = 0.1
EPOCHS = 200
K = 3


def softmax(scores):
    scores = scores - np.max(scores, axis=1)[:, np.newaxis]
    exp_scores = np.exp(scores)
    return exp_scores / np.sum(exp_scores, axis=1)[:, np.newaxis]


def compute_loss(scores, labels):
    probs = softmax(scores)
    correct_logprobs = -np.log(probs[range(scores.shape[0]), labels])
    return np.sum(correct_logprobs) / scores.shape[0]


def compute_loss_max(scores, labels):
    probs = softmax(scores)
    return -np.log(np.max(probs, axis=1)).mean()


data = pd.read_csv('iris.csv')
X = data.iloc[:, :4].values
y = data['species'].astype('category').cat.codes.values

W = 0.01 * np.random.randn(X.shape[1], K)
losses = []
for epoch in xrange(EPOCHS):
    scores = X.dot(W)
    loss = compute_loss(scores, y)
    losses.append(loss)
    if epoch % 20 == 0:
        print "epoch %d: loss %f" % (epoch, loss)
    d = softmax(scores)
    d[range(len(y)), y] -= 1
    W -= LEARNING_RATE * X.T.dot(d) / len(y)

plt.plot(losses)
plt.show()
