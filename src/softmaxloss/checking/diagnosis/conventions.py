"""The conventions of a loss: which of its gradient go with them, and which its text rules out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..bank import BANK, Mistake
from ..calling.wording import Wording
from ..report import Finding
from .options import Reductions

#: The convention of the gradient that belongs to one of the loss, if its name differs. The
#: gradients of a perplexity and a focal loss have no name.
OF_GRADIENT = {
    "sum": "gradient-of-the-sum", "bits": "gradient-in-bits",
    "mean-over-sequences": "gradient-of-the-mean-over-sequences",
}  # fmt: skip


def reductions_of(findings: Sequence[Finding]) -> Reductions | None:
    """How the losses and the gradients are reduced, if they have no other conventions."""
    conventions = {
        m.id for f in findings if f.part != "calls" for m in f.mistakes if m.kind != "weakness"
    }
    of_loss: dict[str, Any] = {
        "a-loss-for-each": "none", "sum": "sum", "mean-over-sequences": "sequences"
    }  # fmt: skip
    of_gradient = {OF_GRADIENT[id]: how for id, how in of_loss.items() if id in OF_GRADIENT}
    if not conventions <= {*of_loss, *of_gradient}:
        return None
    return Reductions(
        next((how for id, how in of_loss.items() if id in conventions), "mean"),
        next((how for id, how in of_gradient.items() if id in conventions), "mean"),
    )


def of_both(findings: list[Finding]) -> list[Finding]:
    """The findings, and whether the gradient has the conventions of the loss."""
    of: dict[str, set[str]] = {"loss": set(), "gradient": set()}
    for finding in findings:
        of.setdefault(finding.part, set()).update(
            m.id for m in finding.mistakes if m.kind == "convention"
        )
    wanted = {OF_GRADIENT.get(id, id) for id in of["loss"]}
    if "a-loss-for-each" in wanted:  # the gradient may be that of their sum or of their mean
        wanted = wanted - {"a-loss-for-each"} | of["gradient"] & {"gradient-of-the-sum"}
    if wanted == of["gradient"]:
        return findings
    if not wanted and of["gradient"] == {"gradient-of-the-sum"}:
        divided = {BANK["gradient-of-the-sum"]: BANK["gradient-not-divided"]}
        return [_renamed(finding, divided) for finding in findings]
    return [*findings, Finding("gradient", mistakes=(BANK["loss-and-gradient-differ"],))]


def of_bias(findings: list[Finding]) -> list[Finding]:
    """The findings, and whether the gradient of the bias has the conventions of the gradient."""
    of: dict[str, set[str]] = {"gradient": set(), "bias_gradient": set()}
    for finding in findings:
        of.setdefault(finding.part, set()).update(m.id for m in finding.mistakes)
    if of["gradient"] == of["bias_gradient"]:
        return findings
    return [*findings, Finding("bias_gradient", mistakes=(BANK["bias-and-weights-differ"],))]


def as_said(findings: Sequence[Finding], wording: Wording, *, layer: bool = False) -> list[Finding]:
    """The findings, in which conventions are mistakes if the text of the function says another, and
    the other way round."""
    said = {
        ("sum", "sum-said-to-be-the-mean"): wording.mean,
        ("masked-rows-in-the-mean", "not-the-mean-of-the-mask"): wording.mean_of_mask,
        ("weighted-mean-over-n", "weighted-mean-not-pytorchs"): wording.as_pytorch,
        ("exp-minus-z", "weights-negated"): wording.negated and layer,
        ("gradient-flipped", "of-the-log-likelihood"): wording.likelihood,
        ("no-minus", "of-the-log-likelihood"): wording.likelihood,
    }
    names = {BANK[id]: BANK[instead] for (id, instead), is_said in said.items() if is_said}
    return [_renamed(finding, names) for finding in findings]


def _renamed(finding: Finding, names: Mapping[Mistake, Mistake]) -> Finding:
    """The finding, with other mistakes for some."""
    return replace(finding, mistakes=tuple(names.get(m, m) for m in finding.mistakes))
