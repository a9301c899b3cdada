"""A longitudinal cohort with known truth, as one ``.h5mu`` that ``omicsfm prepare`` takes without a yaml.

    .obs                            participant_id, visit, time_days, site, plate, family_id, age, age_band, sex,
                                    ancestry; outcomes responder, severity, bmi, follow_up_days and died
    .uns["omicsfm"]                 what COHORT.yaml would say, as JSON
    .mod[NAME].X                    transcriptome counts, proteome log2, metabolome raw; NaN is not measured
    .mod[NAME].layers[below_limit]  the value is the detection limit
    .obsm["true_factors"]           the hidden factors at each visit
    .obsm["true_linear_predictors"] one column per outcome: what a perfect model would find
    .mod[NAME].varm["true_loadings"]

The model behind it is in ``generative.py``.
"""

import json
from collections.abc import Mapping
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.generative import Assay, People, draw_assay, draw_people, draw_presence, generator
from omicsfm.errors import InputError

VISITS_PER_PLATE = 48

OUTCOMES: Mapping[str, Mapping[str, str]] = {
    "responder": {"kind": "class", "column": "responder", "level": "participant"},
    "severity": {"kind": "class", "column": "severity", "level": "visit"},
    "bmi": {"kind": "quantity", "column": "bmi", "level": "visit"},
    "death": {"kind": "survival", "time_days": "follow_up_days", "event": "died", "level": "participant"},
}

MODALITIES: Mapping[str, Mapping[str, str]] = {
    "transcriptome": {"namespace": "ensembl_gene", "scale": "counts"},
    "proteome": {"namespace": "uniprot", "scale": "log2"},
    "metabolome": {"namespace": "hmdb", "scale": "raw"},
}


def simulate(
    path: Path,
    *,
    participants: int = 200,
    visits: int = 3,
    seed: int = 0,
    genes: int = 400,
    proteins: int = 200,
    metabolites: int = 100,
    signal: float = 2.0,
    factors: int = 8,
    sites: int = 3,
    noise: float = 1.0,
    batch_effect: float = 0.3,
    dropout: float = 0.05,
    missing_modality: float = 0.2,
    missing_by_health: float = 0.0,
    missing_value: float = 0.03,
    below_limit: float = 0.1,
    missing_outcome: float = 0.05,
    interval_days: float = 365.0,
    momentum: float = 0.0,
) -> Path:
    """Write a simulated cohort to ``path`` and return it; the same arguments give the same arrays.

    ``visits`` is the most anyone has: some drop out before a visit (probability ``dropout``) or die. ``signal`` is the
    strength of every outcome: the standard deviation of its linear predictor in logits, in log hazard, or in residual
    standard deviations; 0 means that nothing can be learned. ``noise`` and ``batch_effect`` (of site and of plate) are
    standard deviations on the log2 scale, beside loadings of 0.6 to 1.2. The ``missing_*`` and ``below_limit`` are
    shares; ``missing_by_health`` above 0 makes the sick miss more assays. With ``momentum`` m what changed between two
    visits goes on: who knows the last two forecasts the next factors with sqrt(1 - m**2) of the error of who knows one.
    A modality of 0 features is left out.

    Raises:
        InputError: An argument is out of its range, or ``path`` does not end in .h5mu.
    """
    path = Path(path)
    if path.suffix != ".h5mu":
        raise InputError(f"{path}: a simulated cohort is an .h5mu file. Name it, say, {path.with_suffix('.h5mu')}.")
    sizes = dict(zip(MODALITIES, (genes, proteins, metabolites), strict=True))
    _check_whole(
        {"participants": (participants, 4), "visits": (visits, 1), "factors": (factors, 1), "sites": (sites, 1)}
    )
    _check_whole({"genes": (genes, 0), "proteins": (proteins, 0), "metabolites": (metabolites, 0)})
    _check_real({"signal": signal, "noise": noise, "batch_effect": batch_effect}, 0.0, 20.0)
    _check_real({"missing_by_health": missing_by_health}, -20.0, 20.0)
    _check_real({"interval_days": interval_days}, 1.0, 3650.0)
    _check_real({"momentum": momentum}, -0.95, 0.95)
    shares = {"dropout": dropout, "missing_modality": missing_modality, "missing_value": missing_value}
    _check_real(shares | {"missing_outcome": missing_outcome}, 0.0, 0.95)
    _check_real({"below_limit": below_limit}, 0.0, 0.45)
    if not any(sizes.values()):
        raise InputError("genes, proteins and metabolites are all 0: at least one modality must have features.")

    people = draw_people(
        participants=participants,
        visits=visits,
        factors=factors,
        sites=sites,
        interval_days=interval_days,
        follow_up_days=max(3650.0, 2.0 * visits * interval_days),
        momentum=momentum,
        dropout=dropout,
        signal=signal,
        missing_outcome=missing_outcome,
        seed=seed,
    )
    people.visits.insert(6, "plate", _assign_plates(people.visits["site"], seed))
    present = draw_presence(
        people,
        modalities=tuple(name for name, size in sizes.items() if size),
        missing=missing_modality,
        missing_by_health=missing_by_health,
        seed=seed,
    )
    assays = {
        name: draw_assay(
            people,
            rows,
            modality=name,
            scale=MODALITIES[name]["scale"],
            features=sizes[name],
            noise=noise,
            batch_effect=batch_effect,
            missing_value=missing_value,
            below_limit=below_limit,
            seed=seed,
        )
        for name, rows in present.items()
        if len(rows)
    }
    _write(path, people, assays, name=f"simulated_{participants}_seed_{seed}")
    return path


def _assign_plates(site: pd.Series, seed: int) -> list[str]:
    """Visits fill the plates of their own site in random order, so plate and participant are not the same thing."""
    rng = generator(seed, "plates")
    order = pd.Series(rng.permutation(len(site)), index=site.index)
    number = order.groupby(site).rank().astype(int).sub(1) // VISITS_PER_PLATE
    return [f"{where}_plate_{count + 1}" for where, count in zip(site, number, strict=True)]


def _feature_ids(modality: str, features: int) -> list[str]:
    """Ids of the right form; they are numbered, and mean no particular gene, protein or metabolite."""
    if modality == "transcriptome":
        return [f"ENSG{number:011d}" for number in range(1, features + 1)]
    if modality == "metabolome":
        return [f"HMDB{number:07d}" for number in range(1, features + 1)]
    digits, letters = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    accessions = product("OPQ", digits, letters, digits, letters, digits)
    return ["".join(accession) for accession in islice(accessions, features)]


def _write(path: Path, people: People, assays: Mapping[str, Assay], *, name: str) -> None:
    import anndata
    import mudata

    obs = people.visits.set_index(people.visits["participant_id"] + "_visit_" + people.visits["visit"])
    described: dict[str, Any] = {
        "name": name,
        "visits": {
            column: column for column in ("participant_id", "visit", "time_days", "site", "plate", "family_id", "age")
        },
        "modalities": {modality: dict(MODALITIES[modality]) for modality in assays},
        "outcomes": {outcome: dict(spec) for outcome, spec in OUTCOMES.items()},
        "subgroups": ["sex", "age_band", "ancestry", "site"],
        "policy": {"purposes": ["research"], "jurisdictions": ["EU"], "min_cell_count": 10},
    }
    tables = {}
    for modality, assay in assays.items():
        table = anndata.AnnData(
            assay.values,
            obs=pd.DataFrame(index=obs.index[assay.rows]),
            var=pd.DataFrame(index=pd.Index(_feature_ids(modality, assay.values.shape[1]), name="feature_id")),
            varm={"true_loadings": assay.loadings},
        )
        if MODALITIES[modality]["scale"] != "counts":
            table.layers["below_limit"] = assay.below_limit
        tables[modality] = table
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial.h5mu")
    with mudata.set_options(pull_on_update=False):
        cohort = mudata.MuData(tables)
        cohort = cohort[obs.index].copy()
        cohort.obs = obs
        cohort.obsm["true_factors"] = people.factors
        cohort.obsm["true_linear_predictors"] = people.linear_predictors.set_axis(obs.index)
        cohort.uns["omicsfm"] = json.dumps(described, indent=1)
        try:
            cohort.write(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _check_whole(arguments: Mapping[str, tuple[int, int]]) -> None:
    for name, (value, least) in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InputError(f"simulate: {name} is {value!r}; it must be a whole number of at least {least}.")


def _check_real(arguments: Mapping[str, float], least: float, most: float) -> None:
    for name, value in arguments.items():
        if not least <= value <= most:
            raise InputError(f"simulate: {name} is {value!r}; it must be from {least:g} to {most:g}.")
