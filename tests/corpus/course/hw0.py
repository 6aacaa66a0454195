import struct
import gzip
import numpy as np

try:
    from simple_ml_ext import *
except ImportError:
    pass


def add(x, y):
    return x + y


def softmax_loss(Z, y):
    """ Return softmax loss.

    Args:
        Z (np.ndarray[np.float32]): 2D numpy array of shape (batch_size, num_classes),
            containing the logit predictions for each class.
        y (np.ndarray[np.uint8]): 1D numpy array of shape (batch_size, )
            containing the true label of each example.

    Returns:
        Average softmax loss over the sample.
    """
    top = Z.max(axis=-1)
    lse = np.log(np.exp(Z - top[:, None]).sum(axis=-1)) + top
    return np.mean(lse - np.take_along_axis(Z, y[:, None].astype(np.int64), axis=1)[:, 0])


def softmax_loss_short(Z, y):
    return np.log(np.exp(Z).sum(axis=1)).mean() - Z[np.arange(y.size), y].mean()


def softmax_loss_total(Z, y):
    Z = Z - Z.max(axis=1, keepdims=True)
    return np.sum(np.log(np.sum(np.exp(Z), axis=1)) - Z[np.arange(Z.shape[0]), y])


def softmax_loss_shifted(Z, y):
    c = Z.max(axis=1, keepdims=True)
    return (np.log(np.exp(Z - c).sum(axis=1)) - Z[np.arange(y.size), y]).mean()
