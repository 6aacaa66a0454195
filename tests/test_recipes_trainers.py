"""The recipes of docs/pytorch.md for other packages train as with PyTorch's own loss.

`make recipes` installs the packages; without them these tests are skipped.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.recipes import batches, classifier, run, same, trained, weights_of  # noqa: E402
from tests.tensors import close  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

MISSING = "the package is missing: make recipes installs it"

# --- Hugging Face --------------------------------------------------------------------------------


def language_model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
    )
    return LlamaForCausalLM(config)


def texts() -> list[dict[str, Any]]:
    """Twelve texts of eight tokens; of each another number of labels counts."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for i in range(12):
        tokens = torch.randint(50, (8,), generator=generator)
        labels = tokens.clone()
        labels[: i % 7] = -100
        made.append({"input_ids": tokens, "labels": labels})
    return made


@pytest.mark.parametrize("number", [None, 0, 1], ids=["reference", "loss", "linear loss"])
def test_the_trainer(number: int | None, tmp_path: Path) -> None:
    """Against the loss of Hugging Face's own model, which is PyTorch's. The reference is compared
    with a loop over the micro-batches."""
    transformers = pytest.importorskip("transformers", reason=MISSING)
    pytest.importorskip("accelerate", reason=MISSING)
    args = transformers.TrainingArguments(
        tmp_path,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=4,
        gradient_accumulation_steps=2,
        max_steps=6,
        optim="sgd",
        learning_rate=0.5,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
        train_sampling_strategy="sequential",
    )
    model, tokens = language_model(), texts()
    if number is None:
        trainer = transformers.Trainer(model, args, train_dataset=tokens)
    else:
        names = {"Trainer": transformers.Trainer, "model": model, "args": args, "tokens": tokens}
        trainer = run("Trainer of Hugging Face", number, **names)["trainer"]
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    other = language_model()

    def of_four(four: list[Any]) -> Any:
        x = torch.stack([text["input_ids"] for text in four])
        y = torch.stack([text["labels"] for text in four])
        z = other(x).logits[:, :-1]
        return F.cross_entropy(z.flatten(0, 1), y[:, 1:].flatten())

    steps = [(tokens[i : i + 4],) for i in (0, 4, 8) * 2]
    same((losses, weights_of(model)), trained(other, of_four, steps), 1e-5)
    if number == 0:
        of_all = trainer.evaluate(tokens[:4])["eval_loss"]
        assert of_all == pytest.approx(of_four(tokens[:4]).item(), rel=1e-5)


# --- Lightning -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning", reason=MISSING)

    class Losses(lightning.Callback):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.seen: list[float] = []

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
            self.seen.append(outputs["loss"].item())

    losses, data = Losses(), batches(6)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[losses],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    model = run("Lightning", lightning=lightning)["Classifier"](classifier())
    trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=None))

    other = classifier()
    want = trained(other, lambda x, y: F.cross_entropy(other(x), y), data, rate=0.1)
    same((losses.seen, weights_of(model)), want, 1e-12)


# --- Accelerate ----------------------------------------------------------------------------------


def test_accelerate() -> None:
    """Two steps of four micro-batches, with different numbers of labels."""
    accelerate = pytest.importorskip("accelerate", reason=MISSING)
    model, data = classifier(), batches(8)
    given = {
        "Accelerator": lambda: accelerate.Accelerator(cpu=True),
        "itertools": itertools,
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.5),
        "loader": torch.utils.data.DataLoader(data, batch_size=None),
    }
    run("Accelerate", **given)

    other = classifier()

    def of_group(*group: Any) -> Any:
        x, y = (torch.cat(parts) for parts in zip(*group, strict=True))
        return F.cross_entropy(other(x), y)

    _, weights = trained(other, of_group, [data[:4], data[4:]])
    for mine, theirs in zip(weights_of(model), weights, strict=True):
        close(mine, theirs, rtol=1e-12, atol=1e-12)
