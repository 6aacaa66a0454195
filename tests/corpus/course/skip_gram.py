"""The loss of a word vector, and its gradients with respect to it and to the vectors of all words."""

import numpy as np


def softmax(x):
    e = np.exp(x - np.max(x))
    return e / e.sum()


def naive_softmax_loss_and_gradient(center_word_vec, outside_word_idx, outside_vectors, dataset):
    p = softmax(outside_vectors @ center_word_vec)
    loss = -np.log(p[outside_word_idx])
    delta = p.copy()
    delta[outside_word_idx] -= 1
    return loss, outside_vectors.T @ delta, np.outer(delta, center_word_vec)


def softmax_cost_and_gradient(predicted, target, outputVectors, dataset):
    p = softmax(np.dot(outputVectors, predicted))
    cost = -np.log(p[target])
    p[target] -= 1
    return cost, np.dot(p, outputVectors), p[:, None] * predicted[None, :]


def center_gradient_wrong(center_word_vec, outside_word_idx, outside_vectors, dataset):
    p = softmax(outside_vectors @ center_word_vec)
    loss = -np.log(p[outside_word_idx])
    delta = p.copy()
    delta[outside_word_idx] -= 1
    return loss, outside_vectors.T @ p, np.outer(delta, center_word_vec)


def outside_gradient_wrong(center_word_vec, outside_word_idx, outside_vectors, dataset):
    p = softmax(outside_vectors @ center_word_vec)
    loss = -np.log(p[outside_word_idx])
    delta = p.copy()
    delta[outside_word_idx] -= 1
    return loss, outside_vectors.T @ delta, np.outer(-delta, center_word_vec)
