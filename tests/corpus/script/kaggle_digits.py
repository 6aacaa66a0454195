import os
import numpy as np # linear algebra
import pandas as pd # data processing, CSV file I/O (e.g. pd.read_csv)
import matplotlib.pyplot as plt
import seaborn as sns

for dirname, _, filenames in os.walk('/kaggle/input'):
    for filename in filenames:
        print(os.path.join(dirname, filename))

train = pd.read_csv('../input/digit-recognizer/train.csv')
labels = train['label'].values
pixels = train.drop('label', axis=1).values / 255.0


def one_hot(Y):
    one_hot_Y = np.zeros((Y.size, Y.max() + 1))
    one_hot_Y[np.arange(Y.size), Y] = 1
    return one_hot_Y.T


def softmax(Z):
    Z = Z - np.max(Z, axis=0)
    A = np.exp(Z) / sum(np.exp(Z))
    return A


def cross_entropy(A2, Y_one_hot):
    m = Y_one_hot.shape[1]
    return -np.sum(Y_one_hot * np.log(A2 + 1e-8)) / m


def cross_entropy_10(A2, Y_one_hot):
    m = Y_one_hot.shape[1]
    return -np.sum(Y_one_hot * np.log10(A2 + 1e-8)) / m


def get_predictions(A2):
    return np.argmax(A2, 0)


W1 = np.random.rand(10, 784) - 0.5
b1 = np.random.rand(10, 1) - 0.5
for i in range(500):
    A = softmax(W1.dot(pixels.T) + b1)
    dZ = A - one_hot(labels)
    W1 -= 0.1 * dZ.dot(pixels) / labels.size
    if i % 10 == 0:
        print("Iteration: ", i, cross_entropy(A, one_hot(labels)))
