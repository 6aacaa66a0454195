#!/usr/bin/env python
# softmax without numpy, just to see how it works
import math


def softmax(values):
    """
    >>> softmax([0.0, 0.0])
    [0.5, 0.5]
    """
    biggest = max(values)
    exps = [math.exp(v - biggest) for v in values]
    total = sum(exps)
    return [e / total for e in exps]


def cross_entropy(values, target):
    """
    >>> round(cross_entropy([0.0, 0.0], 1), 4)
    0.6931
    """
    biggest = max(values)
    total = 0.0
    for v in values:
        total += math.exp(v - biggest)
    return math.log(total) + biggest - values[target]


def softmax_naive(values):
    exps = [math.exp(v) for v in values]
    return [e / sum(exps) for e in exps]


def cross_entropy_grad(values, target):
    probs = softmax(values)
    return [p - 1 if i == target else p for i, p in enumerate(probs)]


def cross_entropy_missing_class(values, target):
    biggest = max(values)
    total = 0.0
    for i in range(1, len(values)):
        total += math.exp(values[i] - biggest)
    return math.log(total) + biggest - values[target]


if __name__ == '__main__':
    import doctest
    doctest.testmod()
