# Copied out of a longer notebook, without its first cell.
class Scorer:
    def __init__(self, step=0.1):
        self.step = step

    def softmax(self, scores):
        e = np.exp(scores - np.max(scores, axis=1, keepdims=True))
        return e / np.sum(e, axis=1, keepdims=True)

    def softmax_by_columns(self, scores):
        e = np.exp(scores - np.max(scores, axis=1, keepdims=True))
        return e / np.sum(e, axis=1)


def cross_entropy(scores, y):
    top = np.max(scores, axis=1)
    total = np.sum(np.exp(scores - top[:, None]), axis=1)
    return np.mean(np.log(total) + top - scores[np.arange(len(y)), y])


def one_example(scores, y):
    top = max(scores)
    return math.log(sum(math.exp(one - top) for one in scores)) + top - scores[y]


def one_example_flipped(scores, y):
    top = max(scores)
    return scores[y] - top - math.log(sum(math.exp(one - top) for one in scores))
