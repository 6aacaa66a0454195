"""The output layer of a network that is passed one example as a column."""

import numpy as np


def softmax(nodes):
    powers = np.exp(nodes - np.max(nodes))
    total = 0
    for row in powers:
        total += row[0]
    return powers / total


def softmax_from_one(nodes):
    powers = np.exp(nodes - np.max(nodes))
    total = 1
    for row in powers:
        total += row[0]
    return powers / total
