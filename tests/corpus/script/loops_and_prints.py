"""Exercise sheet 7, all with loops because the tutor said so."""
import numpy as np
from math import exp, log


def SoftmaxLoss(O, Y):
    N = len(O)
    J = 0
    for i in range(N):
        m = max(O[i])
        summe = 0
        for o in O[i]:
            summe = summe + exp(o - m)
        J = J - (O[i][Y[i]] - m - log(summe))
    print('Verlust:', J / N)
    return J / N


def SoftmaxGradient(O, Y):
    N, K = O.shape
    G = np.zeros((N, K))
    for i in range(N):
        m = max(O[i])
        summe = sum(exp(o - m) for o in O[i])
        for k in range(K):
            G[i, k] = exp(O[i, k] - m) / summe
            if k == Y[i]:
                G[i, k] -= 1
            G[i, k] /= N
    return G


def SoftmaxLoss_ohne_reset(O, Y):
    N = len(O)
    J = 0
    summe = 0
    for i in range(N):
        m = max(O[i])
        for o in O[i]:
            summe = summe + exp(o - m)
        J = J - (O[i][Y[i]] - m - log(summe))
    return J / N


def SoftmaxLoss_nur_eins(O, Y):
    N = len(O)
    for i in range(N):
        m = max(O[i])
        summe = sum(exp(o - m) for o in O[i])
        J = -(O[i][Y[i]] - m - log(summe))
    return J
