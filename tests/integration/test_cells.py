"""Measured, below the limit, not measured: three cells of a CSV stay three different things as far as the loss."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from scipy import stats

from omicsfm.build import build
from omicsfm.data.collate import BatchReader, fit_transforms
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.transforms import default_transform
from omicsfm.objectives.reconstruction import reconstruct

PEOPLE, LIMIT = 24, 0.25
MEASURED, ZERO, BELOW, STATED, ABSENT = (3, 0), (4, 0), (5, 1), (6, 1), (7, 2)
SPEC = {
    "_target_": "omicsfm.model.omics_model.OmicsModel",
    "encoder": {
        "_target_": "omicsfm.model.encoders.PerceiverEncoder",
        "num_heads": 2,
        "depth": 1,
        "dim": 8,
        "num_latents": 2,
    },
    "pooling": {"_target_": "omicsfm.model.pooling.ConcatenateLatents", "dim": 8, "num_latents": 2},
    "modalities": {
        "metabolome": {
            "_target_": "omicsfm.model.omics_model.Modality",
            "tokenizer": {"_target_": "omicsfm.model.tokenizers.ContinuousTokenizer", "num_features": 3, "dim": 8},
            "decoder": {"_target_": "omicsfm.model.decoders.GaussianDecoder", "dim": 8},
        }
    },
}


def planted(folder: Path) -> pd.DataFrame:
    """A table of concentrations with one cell of each kind, and the COHORT.yaml that says what they mean."""
    values = np.random.default_rng(3).lognormal(1, 1, (PEOPLE, 3)).round(3)
    table = pd.DataFrame(values, columns=["alanine", "citrate", "lactate"]).astype(object)
    table.iloc[MEASURED], table.iloc[ZERO] = 2.5, 0.0
    table.iloc[BELOW], table.iloc[STATED], table.iloc[ABSENT] = "<LOD", f"<{LIMIT}", ""
    ids = pd.DataFrame({"subject": [f"P{n:02d}" for n in range(PEOPLE)]})
    pd.concat([ids, table], axis=1).to_csv(folder / "nmr.csv", index=False)
    ids.to_csv(folder / "clinical.csv", index=False)
    said = {
        "name": "planted",
        "visits": {"path": "clinical.csv", "participant_id": "subject"},
        "modalities": {
            "metabolome": {
                "path": "nmr.csv",
                "namespace": "metabolite_name",
                "scale": "concentration",
                "key": "subject",
                "below_limit": "<LOD",
            }
        },
    }
    (folder / "COHORT.yaml").write_text(yaml.safe_dump(said))
    return table


def test_each_state_of_a_cell_goes_from_the_file_to_its_own_term_of_the_loss(tmp_path: Path) -> None:
    table = planted(tmp_path)
    store = prepare(tmp_path / "COHORT.yaml", tmp_path / "store")
    matrix = store.modalities["metabolome"]
    rows = np.arange(PEOPLE)

    # in the store: a number, a zero, a limit with its flag, a gap
    values, below = matrix.read(rows)
    lowest = min(float(v) for v in table["citrate"] if not isinstance(v, str))
    assert values[MEASURED] == np.float32(2.5)
    assert values[ZERO] == 0.0
    assert values[BELOW] == np.float32(lowest)  # '<LOD' gives no number: the lowest measured stands for it
    assert values[STATED] == np.float32(LIMIT)
    assert np.argwhere(np.isnan(values)).tolist() == [list(ABSENT)]
    assert np.argwhere(below).tolist() == [list(BELOW), list(STATED)]

    # in the batch: observed or not, and the limit on the model scale
    chains = {"metabolome": default_transform(matrix.features.scale)}
    fit_transforms(store, rows=rows, chains=chains)
    features = {"metabolome": matrix.features}
    batch = BatchReader(store, features=features, transforms=chains).read(rows)
    cells = batch.measurements["metabolome"]
    place = {
        (row, int(cells.feature_ids[row, token])): token
        for row, token in cells.observed.nonzero().tolist()
    }  # fmt: skip
    assert set(place) == {(row, feature) for row in range(PEOPLE) for feature in range(3)} - {ABSENT}
    flagged = {cell for cell, token in place.items() if cells.below_limit[cell[0], token]}
    assert flagged == {BELOW, STATED}
    scaled = chains["metabolome"](values)
    assert all(cells.values[cell[0], token] == scaled[cell] for cell, token in place.items())

    # in the loss: a density, a probability, nothing
    model = build(SPEC)
    encoded = model.encode(batch.query("metabolome", cells.observed))
    predicted = model.decode(encoded, "metabolome", cells.feature_ids)
    mean, sd = predicted.mean.detach().double().numpy(), predicted.log_scale.detach().exp().double().numpy()
    terms = []
    for (row, _), token in place.items():
        x, where = cells.values[row, token].double().item(), (mean[row, token], sd[row, token])
        terms.append(-(stats.norm.logcdf if cells.below_limit[row, token] else stats.norm.logpdf)(x, *where))
    loss = reconstruct(model, encoded, batch, {"metabolome": torch.ones_like(cells.observed)}, {})
    np.testing.assert_allclose(loss.total.item(), np.mean(terms), rtol=1e-5)
    assert len(terms) == 3 * PEOPLE - 1


def test_a_token_knows_whether_its_value_is_a_limit(tmp_path: Path) -> None:
    planted(tmp_path)
    store = prepare(tmp_path / "COHORT.yaml", tmp_path / "store")
    chains = {"metabolome": default_transform("concentration")}
    fit_transforms(store, rows=np.arange(PEOPLE), chains=chains)
    parts = {"features": {"metabolome": store.modalities["metabolome"].features}, "transforms": chains}
    batch = BatchReader(store, **parts).read(np.arange(PEOPLE))
    model, cells = build(SPEC), batch.measurements["metabolome"]
    plain = type(cells)(**{**vars(cells), "below_limit": torch.zeros_like(cells.below_limit)})
    differs = (model.modalities["metabolome"].tokenizer(cells) - model.modalities["metabolome"].tokenizer(plain)).any(2)
    assert torch.equal(differs, cells.below_limit)
