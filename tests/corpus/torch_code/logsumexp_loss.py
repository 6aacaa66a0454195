import torch
import torch.nn.functional as F
from torch import Tensor


def log_softmax(x: Tensor) -> Tensor:
    return x - x.logsumexp(-1, keepdim=True)


def loss_by_hand(logits: Tensor, targets: Tensor) -> Tensor:
    picked = logits.gather(1, targets.unsqueeze(1)).squeeze(1)
    return (torch.logsumexp(logits, dim=1) - picked).mean()


def loss_functional(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits, targets.long())


def loss_nll(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    return F.nll_loss(F.log_softmax(logits, dim=-1), targets, reduction=reduction)


def loss_softmax_twice(logits: Tensor, targets: Tensor) -> Tensor:
    probs = F.softmax(logits, dim=1)
    return F.cross_entropy(probs, targets)


def loss_nll_of_probs(logits: Tensor, targets: Tensor) -> Tensor:
    return F.nll_loss(F.softmax(logits, dim=1), targets)


def loss_dim0(logits: Tensor, targets: Tensor) -> Tensor:
    return F.nll_loss(F.log_softmax(logits, dim=0), targets)


def loss_3d(logits: Tensor, targets: Tensor) -> Tensor:
    B, T, C = logits.shape
    return F.cross_entropy(logits.view(B * T, C), targets.view(B * T))


def loss_non_leaf(logits: Tensor, targets: Tensor) -> Tensor:
    """keeps the gradient of its input, as in a debugging session"""
    shifted = logits - logits.max(1, keepdim=True).values.detach()
    shifted.retain_grad()
    counts = shifted.exp()
    logprobs = shifted - counts.sum(1, keepdim=True).log()
    return -logprobs[torch.arange(len(targets)), targets].mean()


def loss_float32(logits: Tensor, targets: Tensor) -> Tensor:
    onehot = torch.zeros(logits.shape[0], logits.shape[1])
    onehot.scatter_(1, targets.view(-1, 1), 1.0)
    logits = logits.float()
    return -(onehot * F.log_softmax(logits, 1)).sum(1).mean()


def loss_float32_only(logits: Tensor, targets: Tensor) -> Tensor:
    W = torch.eye(logits.shape[1])  # float32: a product with float64 raises
    return F.cross_entropy(logits @ W, targets)
