"""Whom a checkpoint may be tested on: the people that its training did not see."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from omicsfm.checkpoint import Checkpoint
from omicsfm.data.groups import families_in
from omicsfm.data.splits import Split
from omicsfm.data.store import OmicsStore
from omicsfm.data.times import Cut
from omicsfm.errors import InputError


@dataclass(frozen=True)
class Tested:
    """Which visits may be tested, and what must be said about them."""

    visits: Bool[np.ndarray, " visits"]
    repeat: int = 0
    fold: int = 0
    split_sha256: str | None = None
    excluded: int = 0
    """Participants left out because the checkpoint saw them in training."""
    said: str = ""
    """Who is tested, and why, in words for everybody."""
    warnings: tuple[str, ...] = ()


def held_out_visits(checkpoint: Checkpoint, store: OmicsStore, split: Split | None = None) -> Tested:
    """Visits of participants that may be tested.

    With a split: the test participants of the (repeat, fold) that the checkpoint was trained for. Without: everybody
    whom it did not see in training, by salted hash of the participant id, and none of whose family it saw.

    Raises:
        InputError: The split is not the one of the checkpoint's training, or nobody is left to test.
    """
    ids = store.visits["participant_id"].astype(str)
    people = ids.unique()
    saw = dict(zip(people, checkpoint.saw(people.tolist(), store.people), strict=True))
    seen = ids.map(saw).to_numpy(dtype=bool)
    recorded = checkpoint.provenance.get("split") or {}
    if split is None:
        together = [name for name in recorded.get("kept_together", families_in(store.visits)) if name in store.visits]
        seen = ~checkpoint.untouched(store.visits, together, store.people)  # with their families and groups
        return _unseen(checkpoint, store, seen, people=len(people), excluded=int(ids[seen].nunique()))
    if recorded.get("sha256") and recorded["sha256"] != split.sha256:
        raise InputError(
            f"--split: this is not the split that the checkpoint was trained with (SHA-256 {split.sha256[:12]}..., the "
            f"checkpoint's {recorded['sha256'][:12]}...): its test participants may have been trained on. Give the "
            "SPLIT.csv of that run (RUN/split.csv, or what data.split named), or leave --split out to test everybody "
            "whom the checkpoint did not see."
        )
    repeat, fold = int(recorded.get("repeat", 0)), int(recorded.get("fold", 0))
    if (repeat, fold) not in set(split.folds()):
        raise InputError(f"--split: it has no (repeat {repeat}, fold {fold}), which the checkpoint was trained for.")
    own = split.table[(split.table["repeat"] == repeat) & (split.table["fold"] == fold)]
    named = set(own["participant_id"].astype(str))
    tested = ids.isin(named).to_numpy()
    if not tested.any():
        raise InputError(
            f"--split: none of its {len(named)} test participants of (repeat {repeat}, fold {fold}) is in "
            f"{store.path}. Give the store that the split was made for, or leave --split out."
        )
    if cut := Cut.of(split.made):
        tested &= cut.later(store.visits)
    if not recorded.get("sha256"):  # nothing vouches for this split, so whom the checkpoint saw is left out
        left_out = int(ids[tested & seen].nunique())
        tested = tested & ~seen
        if not tested.any():
            raise InputError(
                f"--split: the checkpoint records no split, and it saw all {left_out} test participants of (repeat "
                f"{repeat}, fold {fold}) in training. Test it on other people."
            )
        said = "Tested are the people whom the given split holds out, without those whom the model saw in training; "
        said += "the checkpoint itself records no split."
        return Tested(tested, repeat, fold, split.sha256, left_out, said)
    said = "Tested are the people whom the split of its training held out."
    known = int(ids[tested & seen].nunique())
    warnings: tuple[str, ...] = ()
    if known:
        warnings = (
            f"pretraining saw the measurements, not the outcomes, of {known} of {int(ids[tested].nunique())} tested "
            "participants. For a clean test pretrain with the same data.split.",
        )
    return Tested(tested, repeat, fold, split.sha256, 0, said, warnings)


def _unseen(checkpoint: Checkpoint, store: OmicsStore, seen: np.ndarray, *, people: int, excluded: int) -> Tested:
    own = any(training["people"] == store.people for training in checkpoint.provenance["participants"])
    if excluded == people:
        names = sorted({str(entry["name"]) for entry in checkpoint.provenance.get("stores", ())})
        raise InputError(
            f"{store.path}: the checkpoint saw all {people:,} of its participants in training (on {', '.join(names)}); "
            "nobody is left to test it on. Give --split the SPLIT.csv that it was fine-tuned with (RUN/split.csv) to "
            "test on that split's held-out fold, or test it on another cohort. If these are other people who bear the "
            "same ids, prepare the store with ids that carry the cohort's name."
        )
    if not excluded:
        return Tested(~seen, said="Tested is the whole cohort: the model saw none of these people in training.")
    said = "Tested is everybody in the cohort whom the model did not see in training."
    warnings: tuple[str, ...] = ()
    if not own:
        warnings = (
            f"{excluded:,} participants bear ids that the checkpoint saw in training on another store; they are taken "
            "for the same people and left out. If they are not, prepare the store with ids that carry the cohort's "
            "name.",
        )
    return Tested(~seen, excluded=excluded, said=said, warnings=warnings)
