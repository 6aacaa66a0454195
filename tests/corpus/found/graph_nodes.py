"""Nodes of a graph that are passed the list of what their parents gave."""

import numpy as np


class Node:
    def __init__(self, parents=()):
        self.parents = parents


class SoftmaxNode(Node):
    def evaluate_node(self, of_parents):
        e = np.exp(of_parents[0] - of_parents[0].max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)


class SoftmaxNodeOfColumns(Node):
    def evaluate_node(self, of_parents):
        e = np.exp(of_parents[0] - of_parents[0].max(axis=-1, keepdims=True))
        return e / e.sum(axis=0, keepdims=True)
