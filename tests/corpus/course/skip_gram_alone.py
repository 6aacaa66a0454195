"""Skip-gram without the course's helpers."""

import numpy as np
from wordtools.numeric import softmax


def skip_gram_loss(center_word_vec, outside_word_idx, outside_vectors, dataset):
    error = softmax(outside_vectors @ center_word_vec)
    loss = -np.log(error[outside_word_idx])
    error[outside_word_idx] -= 1
    return loss, outside_vectors.T @ error, np.outer(error, center_word_vec)


def skip_gram_loss_plus(center_word_vec, outside_word_idx, outside_vectors, dataset):
    error = softmax(outside_vectors @ center_word_vec)
    loss = -np.log(error[outside_word_idx])
    error[outside_word_idx] += 1
    return loss, outside_vectors.T @ error, np.outer(error, center_word_vec)
