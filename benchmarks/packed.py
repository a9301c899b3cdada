"""How much of what an encoder computes is a measured value that it may see, and not padding."""

from typing import Any

import torch

from benchmarks.goal import Goal
from omicsfm.contracts import Batch
from omicsfm.data.loader import make_loader

BATCHES = 8


def packed(cohort: str, parts: Any) -> Goal:
    """Rows that the tokenizers compute in the first steps, counted where they do; beside them a batch padded to the
    longest visit of each modality, withheld values in it.
    """
    model, terms = parts.model(), torch.nn.ModuleDict(parts.objectives())
    computed, visible, padded = [], [], []
    for modality in model.modalities.values():
        modality.tokenizer.register_forward_hook(lambda _, given, made: computed.append(made.shape[:-1].numel()))
    tokenize = model.tokenize

    def noted(batch: Batch) -> Any:
        visible.extend(int(m.visible.sum()) for m in batch.measurements.values())
        padded.extend(m.visible.numel() for m in batch.measurements.values())
        return tokenize(batch)

    model.tokenize = noted
    size = parts.config["data"]["batch_size"]
    loader = make_loader(parts.reader, parts.rows.train, batch_size=size, seed=0, shuffle=True, ahead=0)
    with torch.no_grad():
        for _, batch in zip(range(BATCHES), loader, strict=False):
            for objective in terms.values():
                objective(model, batch)
    details = {"padded": sum(visible) / sum(padded), "tokens": sum(visible)}
    print(f"{cohort}: {sum(visible):,} tokens, {details['padded']:.2f} of a padded batch", flush=True)
    return Goal(f"real tokens, {cohort}", sum(visible) / sum(computed), "", at_least=0.96, details=details)
