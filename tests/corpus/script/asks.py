import sys
import time
import numpy as np
from tqdm import tqdm
import utils
from utils import one_hot, load_mnist

path = input("folder of MNIST: ")
train_x, train_y = load_mnist(path)
hidden = int(input("hidden units: "))
model = utils.MLP(784, hidden, 10)


def loss_fn(out, target):
    """out: raw outputs (N, 10), target: digits (N,)"""
    out = out - np.max(out, axis=1, keepdims=True)
    prob = np.exp(out) / np.sum(np.exp(out), axis=1, keepdims=True)
    return -np.mean(np.log(prob[np.arange(out.shape[0]), target]))


def grad_fn(out, target):
    out = out - np.max(out, axis=1, keepdims=True)
    prob = np.exp(out) / np.sum(np.exp(out), axis=1, keepdims=True)
    prob[np.arange(out.shape[0]), target] -= 1
    return prob / out.shape[0]


def grad_fn_prediction(out, target):
    out = out - np.max(out, axis=1, keepdims=True)
    prob = np.exp(out) / np.sum(np.exp(out), axis=1, keepdims=True)
    guess = np.argmax(prob, axis=1)
    prob[np.arange(out.shape[0]), guess] -= 1
    return prob / out.shape[0]


for epoch in tqdm(range(50)):
    started = time.time()
    o = model.forward(train_x)
    print(epoch, loss_fn(o, train_y), time.time() - started)
    model.backward(grad_fn(o, train_y))
    sys.stdout.flush()
