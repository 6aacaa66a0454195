from .functional import softmax, log_softmax
from .losses import SoftmaxLoss, NLL
