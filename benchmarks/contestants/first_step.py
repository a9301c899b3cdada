"""A minimal script: hydra composes, anndata reads, Lightning takes steps; says when the first of them ended.

Arguments: a folder with config.yaml, an .h5ad.
"""

import sys
import time

import hydra
import pytorch_lightning as pl
import torch
from anndata import read_h5ad

CONFIG, H5AD = sys.argv[1:]


class Linear(pl.LightningModule):
    """An autoencoder of two layers."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(features, 16), torch.nn.Linear(16, features))

    def training_step(self, batch, index):  # type: ignore[no-untyped-def]
        return (self.layers(batch[0]) - batch[0]).square().mean()

    def on_train_batch_end(self, *_) -> None:  # type: ignore[no-untyped-def]
        print("first step", time.time(), flush=True)
        sys.exit(0)

    def configure_optimizers(self):  # type: ignore[no-untyped-def]
        return torch.optim.AdamW(self.parameters())


with hydra.initialize_config_dir(CONFIG, version_base=None):
    config = hydra.compose("config")
values = torch.tensor(read_h5ad(H5AD).X, dtype=torch.float32).nan_to_num()
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(values), batch_size=config.batch_size, shuffle=True)
trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
trainer.fit(Linear(values.shape[1]), data)
