"""A run that is not finished -> a plain checkpoint of where it stands, whatever trainer it ran with."""

import shutil
from pathlib import Path

from omicsfm.checkpoint import load_checkpoint, save_checkpoint, verify_checkpoint
from omicsfm.errors import InputError
from omicsfm.training.resume.folder import newest_intact, read_state

MODEL = "model."
"""Before the names of the model's weights in a state; what else a state holds belongs to training."""


def export_run(run_dir: Path, directory: Path) -> str:
    """Write the newest whole state of a pretraining as a checkpoint at ``directory``, or the checkpoint of a finished
    run; returns what was written, in words. The best epoch so far is always at RUN/checkpoint.

    Raises:
        InputError: There is nothing to export yet, or the states are damaged.
    """
    if directory.exists():
        raise InputError(f"{directory}: exists already; name a new folder.")
    finished = run_dir / "checkpoint"
    if not finished.exists():
        raise InputError(
            f"{run_dir}: no epoch of it has ended, or it fine-tunes, and so it has no checkpoint to begin with. Start "
            "the same command again; it goes on where it stopped."
        )
    state_folder = newest_intact(run_dir / "resume")
    if state_folder is None:
        verify_checkpoint(finished)
        shutil.copytree(finished, directory)
        return "the best epoch"
    best, state = load_checkpoint(finished), read_state(state_folder)
    weights = {name.removeprefix(MODEL): w for name, w in state["state_dict"].items() if name.startswith(MODEL)}
    fitted = {name: own for name, own in best.model.state_dict().items() if name.startswith("imputer.")}
    best.model.load_state_dict({**weights, **fitted})  # training itself leaves an imputer empty
    made = ("digest", "files", "features", "parameters", "omicsfm", "schema")
    save_checkpoint(
        directory,
        model=best.model,
        model_spec=best.model_spec,
        features=best.features,
        transforms=best.transforms,
        outcomes=best.outcomes,
        provenance={
            **{key: value for key, value in best.provenance.items() if key not in made},
            "metrics": {"steps taken": state["global_step"]},
        },
    )
    return f"step {state['global_step']}"
