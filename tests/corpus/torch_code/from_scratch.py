import random
import torch
from torch import nn
from d2l import torch as d2l

batch_size = 256


def softmax(X):
    X_exp = torch.exp(X - X.max(dim=1, keepdim=True).values)
    partition = X_exp.sum(1, keepdim=True)
    return X_exp / partition  # the broadcasting mechanism is applied here


def cross_entropy(y_hat, y):
    return -torch.log(y_hat[range(len(y_hat)), y])


def cross_entropy_mean(y_hat, y):
    return cross_entropy(y_hat, y).mean()


def cross_entropy_of_argmax(y_hat, y):
    return -torch.log(y_hat.max(dim=1).values).mean()
