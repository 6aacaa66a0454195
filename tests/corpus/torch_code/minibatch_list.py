# results as a list / tensors of size one / .item()
import torch


class Trainer:
    """Holds a network; the loss does not need it."""

    def __init__(self, lr=0.1):
        self.lr = lr

    def criterion(self, outputs, labels):
        m, _ = outputs.max(1, keepdim=True)
        lse = m + (outputs - m).exp().sum(1, keepdim=True).log()
        return (lse - outputs.gather(1, labels[:, None])).mean().view(1)


def evaluate(outputs, labels):
    """loss and number of hits, as Python numbers"""
    loss = torch.nn.CrossEntropyLoss()(outputs, labels)
    hits = (outputs.argmax(1) == labels).float().mean()
    return loss.item(), hits.item()


def manual_backward(outputs, labels):
    p = torch.softmax(outputs.detach(), 1)
    p[torch.arange(len(labels)), labels] -= 1
    return p / len(labels)


def manual_backward_ones(outputs, labels):
    p = torch.softmax(outputs.detach(), 1)
    p[torch.arange(len(labels)), labels] = -1
    return p / len(labels)
