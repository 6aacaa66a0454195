"""The gradients of the last layer, from its features, its outputs and the labels."""

import numpy as np


def weights_gradient(X, Y, P):
    return X.T @ (P - Y) / X.shape[0]


def weights_gradient_up(X, Y, P):
    return X.T @ (Y - P) / X.shape[0]


def gradients_of_one(x, z, target):
    """weights[j][i] and bias[j]; x, z are lists"""
    top = max(z)
    e = [2.718281828459045 ** (v - top) for v in z]
    delta = [v / sum(e) for v in e]
    delta[target] -= 1.0
    return [[d * one for one in x] for d in delta], delta


def of_all_steps(o, s, y):
    """o (T, K) probabilities, s (T, H) hidden states, y (T,) words"""
    dV = np.zeros((o.shape[1], s.shape[1]))
    for t, word in enumerate(y):
        delta = o[t].copy()
        delta[word] -= 1.0
        dV += np.outer(delta, s[t])
    return dV


def of_last_step(o, s, y):
    """o (T, K) probabilities, s (T, H) hidden states, y (T,) words"""
    dV = np.zeros((o.shape[1], s.shape[1]))
    for t, word in enumerate(y):
        delta = o[t].copy()
        delta[word] -= 1.0
        dV = np.outer(delta, s[t])
    return dV


def output_backward(AL, Y, A_prev, W):
    m = A_prev.shape[1]
    dZ = AL - Y
    dW = dZ @ A_prev.T / m
    db = np.sum(dZ, axis=1, keepdims=True) / m
    dA_prev = W.T @ dZ
    return dA_prev, dW, db


def output_backward_one_bias(AL, Y, A_prev, W):
    m = A_prev.shape[1]
    dZ = AL - Y
    dW = dZ @ A_prev.T / m
    db = np.sum(dZ) / m
    dA_prev = W.T @ dZ
    return dA_prev, dW, db
