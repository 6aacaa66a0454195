import numpy as np
import h5py
import matplotlib.pyplot as plt
from testCases_v4 import *
from dnn_utils import sigmoid, relu

np.random.seed(1)


def softmax(Z):
    """
    Arguments:
    Z -- output of the linear layer, shape (number of classes, number of examples)

    Returns:
    A -- probabilities, same shape
    """
    shifted = Z - np.max(Z, axis=0, keepdims=True)
    return np.exp(shifted) / np.sum(np.exp(shifted), axis=0, keepdims=True)


def compute_cost(AL, Y):
    """
    Cross-entropy cost.

    AL -- probability vectors of the predictions, shape (classes, m)
    Y -- true "label" vectors (one-hot), shape (classes, m)
    """
    m = Y.shape[1]
    cost = -(1. / m) * np.sum(np.multiply(Y, np.log(AL)))
    cost = np.squeeze(cost)
    assert cost.shape == ()
    return cost


def compute_cost_clipped(AL, Y):
    m = Y.shape[1]
    AL = np.clip(AL, 1e-10, 1.0)
    return -np.sum(Y * np.log(AL)) / m


def compute_cost_no_minus(AL, Y):
    m = Y.shape[1]
    return np.sum(np.multiply(Y, np.log(AL))) / m


def compute_cost_classes(AL, Y):
    m = Y.shape[0]
    cost = -np.sum(Y * np.log(AL + 1e-8)) / m
    return float(cost)
