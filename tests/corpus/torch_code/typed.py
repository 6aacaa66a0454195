import torch
from jaxtyping import Float, Int
from einops import rearrange, einsum


def cross_entropy(
    logits: Float[torch.Tensor, "batch vocab"], targets: Int[torch.Tensor, " batch"]
) -> Float[torch.Tensor, ""]:
    """Stable cross entropy, averaged over the batch."""
    top = logits.amax(dim=-1, keepdim=True)
    lse = (logits - top).exp().sum(dim=-1).log() + top.squeeze(-1)
    return (lse - logits[torch.arange(len(targets)), targets]).mean()


def cross_entropy_top(
    logits: Float[torch.Tensor, "batch vocab"], targets: Int[torch.Tensor, " batch"]
) -> Float[torch.Tensor, ""]:
    top = logits.amax(dim=-1, keepdim=True)
    lse = (logits - top).exp().sum(dim=-1).log()
    return (lse - logits[torch.arange(len(targets)), targets]).mean()
