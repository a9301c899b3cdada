"""Whether the ids of a modality are what its namespace says they are."""

import re

from omicsfm.data.inspect.findings import Findings
from omicsfm.data.store import OmicsStore
from omicsfm.features import FeatureSpace
from omicsfm.namespaces import NAMESPACES, likely_namespaces

FORM_MIN = 0.5  # share of ids with their namespace's form, below which the namespace is wrong
DATES = re.compile(r"\d{1,2}[-/](Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)([-/]\d{2,4})?", re.IGNORECASE)
"""What spreadsheets make of SEPT2 or MARCH1 (Ziemann et al. 2016, doi:10.1186/s13059-016-1044-7)."""


def describe_identifiers(store: OmicsStore, name: str, space: FeatureSpace, found: Findings) -> None:
    """State the share of ids that have the form of their namespace, and what the mapping at prepare did."""
    _intake(store, name, found)
    if dates := [feature for feature in space.ids if DATES.fullmatch(feature)]:
        found.notes.append(
            f"{name}: {len(dates):,} ids look like dates (first '{dates[0]}'): a spreadsheet turned gene symbols into "
            "them. Go back to the file before it was opened there."
        )
    form = NAMESPACES[space.namespace]
    if form is None:
        found.lines.append(f"  identifiers: {space.namespace}, free text (first '{space.ids[0]}')")
        return
    odd = [feature for feature in space.ids if not form.fullmatch(feature)]
    share = 1 - len(odd) / len(space)
    found.lines.append(
        f"  identifiers: {share:.1%} have the form of {space.namespace}" + (f", not '{odd[0]}'" if odd else "")
    )
    if share >= FORM_MIN:
        return
    if store.manifest.get("source", {}).get("modalities", {}).get(name, {}).get("mapping"):
        found.notes.append(
            f"{name}: only {share:.1%} of the ids could be mapped to {space.namespace}; the others keep their own and "
            "match no other cohort's."
        )
        return
    likely = [n for n in likely_namespaces(space.ids) if n != space.namespace]
    found.problems.append(
        f"{name}: only {share:.1%} of the ids have the form of namespace {space.namespace} (first other '{odd[0]}'). "
        + (
            f"They look like {' or '.join(likely)}: set namespace to that."
            if likely
            else "Set namespace: local, or map them."
        )
    )


def _intake(store: OmicsStore, name: str, found: Findings) -> None:
    """What prepare counted when it named the features."""
    intake = store.manifest.get("source", {}).get("modalities", {}).get(name, {})
    if peaks := intake.get("peaks"):
        found.lines.append(f"  {peaks:,} of {intake['features']:,} features are unidentified peaks")
    if counts := intake.get("mapping"):
        found.lines.append(
            f"  mapped from {counts['from']} to {counts['to']}: {counts['matched']:,} matched, {counts['mapped']:,} "
            f"mapped, {counts['ambiguous']:,} ambiguous, {counts['unknown']:,} unknown, {counts['merged']:,} merged"
        )
