"""features.parquet of a checkpoint: one row per feature, in the model's order."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from omicsfm.features import FeatureSpace

COLUMNS = ("modality", "feature_id", "namespace", "scale", "platform", "panels")


def feature_table(features: Mapping[str, FeatureSpace]) -> pd.DataFrame:
    """The features of every modality; ``panels`` lists the training cohorts that have one, where they differ."""
    rows = []
    for modality, space in features.items():
        panels = {name: set(panel.tolist()) for name, panel in space.panels.items()}
        for place, feature in enumerate(space.ids):
            own = [name for name, panel in panels.items() if place in panel]
            rows.append((modality, feature, space.namespace, space.scale, space.platform, own))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def read_features(table: pd.DataFrame) -> dict[str, FeatureSpace]:
    """The feature space of each modality in a table that ``feature_table`` made."""
    spaces = {}
    for modality, own in table.groupby("modality", sort=False):
        first = own.iloc[0]
        panels: dict[str, list[int]] = {}
        for place, cohorts in enumerate(own.get("panels", ())):
            for name in cohorts:
                panels.setdefault(name, []).append(place)
        spaces[str(modality)] = FeatureSpace(
            modality=str(modality),
            ids=tuple(own["feature_id"]),
            namespace=first["namespace"],
            scale=first["scale"],
            platform=first.get("platform", ""),
            panels={name: np.array(places) for name, places in panels.items()},
        )
    return spaces
