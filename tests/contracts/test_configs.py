"""Every file of configs/ composes, builds, trains a step, and comes back from a checkpoint: a new one is tested too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from omicsfm.build import build
from omicsfm.checkpoint import Checkpoint, load_checkpoint
from omicsfm.contracts import OutcomeSpec
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace
from omicsfm.inference import embed, evidence, predict, reader_for
from omicsfm.paths import configs_dir
from omicsfm.training.assemble import build_model
from omicsfm.training.finetune import finetune
from omicsfm.training.main import compose
from omicsfm.training.pretrain import pretrain

PEOPLE = 24
OUTCOMES = {
    "class": OutcomeSpec("ill", "class", "visit", ("no", "yes")),
    "quantity": OutcomeSpec("bmi", "quantity"),
    "survival": OutcomeSpec("death", "survival", "participant"),
    "competing_risks": OutcomeSpec("end", "competing_risks", "participant", ("relapse", "death")),
}
SHAPES = {"dim": 8, "num_latents": 2, "encoder.num_heads": 2, "encoder.depth": 1}
REQUIRED = ("run_dir=none", "data.store=none")
MakeStore = Callable[..., OmicsStore]


def files(group: str) -> list[str]:
    return sorted(file.stem for file in (configs_dir() / group).glob("*.yaml"))


def small(*overrides: str) -> dict[str, Any]:
    """The config of these overrides, with the model as small as its keys allow and one epoch."""
    config = compose([*REQUIRED, "logger=none", *overrides])
    for path, value in SHAPES.items():
        node, *below = config["model"], *path.split(".")
        for key in below[:-1]:
            node = node.get(key, {})
        if below[-1] in node:
            node[below[-1]] = value
    config["task"] = {**config["task"], "epochs": 1, "validation_fraction": 0.25}
    return config


@pytest.fixture(scope="module")
def make_store(tmp_path_factory: pytest.TempPathFactory) -> MakeStore:
    """Makes a store of 24 visits with the named modalities and an outcome of every kind: of 24 participants, or of 12
    who were measured on two platforms.
    """

    def make(*modalities: str, platforms: tuple[str, ...] = ("olink",)) -> OmicsStore:
        generator = np.random.default_rng(0)
        health = generator.normal(size=(PEOPLE, 1))
        matrices = {
            name: Matrix(
                FeatureSpace(name, tuple(f"f{n}" for n in range(6)), "local", "log2"),
                np.arange(PEOPLE),
                (health + generator.normal(size=(PEOPLE, 6))).astype(np.float32),
            )
            for name in modalities
        }
        ids = [f"P{n // len(platforms):02d}" for n in range(PEOPLE)]
        platform = [platforms[n % len(platforms)] for n in range(PEOPLE)]
        sick = (health + generator.normal(size=(PEOPLE, 1)))[:, 0]
        outcomes = pd.DataFrame(
            {
                "ill": np.where(sick > 0, "yes", "no"),
                "bmi": 25 + 4 * sick,
                "death.time_days": np.ceil(500 * np.exp(-sick)),
                "death.event": (np.arange(PEOPLE) % 3 > 0).astype(float),
                "end.time_days": np.ceil(500 * np.exp(-sick)),
                "end.event": (np.arange(PEOPLE) % 3).astype(float),
            }
        )
        return write_store(
            tmp_path_factory.mktemp("configs") / "store",
            name="tiny",
            visits=pd.DataFrame(
                {
                    "participant_id": ids,
                    "visit": platform,
                    "time_days": 0.0,
                    "platform": platform,
                    "site": np.where(np.arange(PEOPLE) % 2, "north", "south"),
                }
            ),
            outcomes=outcomes,
            outcome_specs={spec.name: spec for spec in OUTCOMES.values()},
            matrices=matrices,
        )

    return make


@pytest.fixture(scope="module")
def store(make_store: MakeStore) -> OmicsStore:
    return make_store("proteome", "metabolome")


@pytest.fixture(scope="module")
def pretrained(store: OmicsStore, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return train_a_step(small("model=tiny"), store, tmp_path_factory.mktemp("pretrained"))


def train_a_step(config: dict[str, Any], store: OmicsStore, folder: Path) -> Checkpoint:
    """Pretrain one epoch, save and open; the opened model embeds as the trained one, which is not the initial one."""
    best = pretrain(store, rows=np.arange(PEOPLE), config=config, directory=folder / "checkpoint")
    opened = load_checkpoint(folder / "checkpoint")
    reader = reader_for(opened, store)
    initial = build_model(opened.model_spec, seed=config["seed"], purpose="initial weights")
    trained = build(opened.model_spec)
    trained.load_state_dict(best.weights)
    rows = np.arange(PEOPLE)
    ours = embed(opened.model, reader, rows)
    np.testing.assert_array_equal(ours, embed(trained, reader, rows))
    assert np.isfinite(ours).all()
    moved = [name for name, tensor in initial.state_dict().items() if not torch.equal(tensor, best.weights[name])]
    assert moved
    return opened


@pytest.mark.parametrize("name", files("model"))
def test_every_model_trains_and_comes_back(store, tmp_path, name: str) -> None:
    opened = train_a_step(small(f"model={name}"), store, tmp_path)
    assert set(opened.model.modalities) == {"proteome", "metabolome"}


@pytest.mark.parametrize("name", files("modality"))
def test_every_modality_trains_and_comes_back(make_store, tmp_path, name: str) -> None:
    defaults = compose(list(REQUIRED))["modality"]
    assert name in defaults, f"configs/modality/{name}.yaml is not among the defaults of configs/train.yaml"
    assert (configs_dir() / "modality" / f"{name}.yaml").read_text().startswith(f"# @package modality.{name}\n")
    config = small("model=tiny", f"modality=[{','.join({name, 'generic'})}]")
    measured = "microbiome" if name == "generic" else name
    opened = train_a_step(config, make_store(measured), tmp_path)
    assert list(opened.model.modalities) == [measured]


@pytest.mark.parametrize("name", files("harmonise"))
def test_every_harmonisation_trains_and_comes_back(make_store, tmp_path, name: str) -> None:
    store = make_store("proteome", platforms=("olink", "somascan"))
    opened = train_a_step(small("model=tiny", f"harmonise={name}"), store, tmp_path)
    steps = opened.transforms["proteome"].steps
    assert [type(step).__name__ for step in steps][-1] == "RobustZ"
    known = [step.batches for step in steps if getattr(step, "column", None)]
    assert known == ([] if name == "none" else [("olink", "somascan")])


@pytest.mark.parametrize("name", files("objective"))
def test_every_objective_trains_alone(store, tmp_path, name: str) -> None:
    config = small("model=tiny", f"objective=[{name}]")
    assert list(config["objective"]) == [name]
    train_a_step(config, store, tmp_path)


@pytest.mark.parametrize("name", [name for name in files("prior") if name not in ("links", "table")])
def test_every_prior_trains_and_comes_back(store, tmp_path, name: str) -> None:
    """Those that need a file of the user's are tested in their room."""
    opened = train_a_step(small("model=tiny", f"prior={name}", "prior.dim=4"), store, tmp_path)
    assert opened.model.modalities["proteome"].tokenizer.prior.vectors.any(dim=1).all()


@pytest.mark.parametrize("name", files("imputer"))
def test_every_imputer_trains_and_comes_back(store, tmp_path, name: str) -> None:
    opened = train_a_step(small("model=tiny", f"imputer={name}", "imputer.rank=4"), store, tmp_path)
    assert opened.model.imputer.fitted_0


@pytest.mark.parametrize("name", [name for name in files("kernel") if name != "none"])
def test_every_kernel_is_read_by_heads_and_comes_back(store, tmp_path, name: str) -> None:
    opened = train_a_step(small("model=tiny", f"kernel={name}", "kernel.features=8"), store, tmp_path)
    kernel = evidence(opened.model, reader_for(opened, store), np.arange(PEOPLE))[:, opened.model.evidence["kernel"]]
    assert kernel.std(axis=0).all()


@pytest.mark.parametrize("name", [name for name in files("relative") if name != "none"])
def test_every_relative_profile_is_read_by_heads_and_by_their_kernel(store, tmp_path, name: str) -> None:
    opened = train_a_step(small("model=tiny", f"relative={name}", "kernel.features=8"), store, tmp_path)
    known, places = evidence(opened.model, reader_for(opened, store), np.arange(PEOPLE)), opened.model.evidence
    relative = torch.from_numpy(known[:, places["relative"]])
    assert relative.std(axis=0).all()
    np.testing.assert_allclose(known[:, places["kernel"]], opened.model.kernel(relative), atol=1e-6)


@pytest.mark.parametrize("name", files("trajectory"))
def test_every_trajectory_trains_where_an_objective_reads_histories(store, tmp_path, name: str) -> None:
    opened = train_a_step(small("model=tiny", "objective=[forecast]", f"trajectory={name}"), store, tmp_path)
    assert opened.model.trajectory is not None


@pytest.mark.parametrize("group", ["optimizer", "schedule"])
def test_every_optimizer_and_schedule_trains(store, tmp_path, group: str) -> None:
    for name in files(group):
        train_a_step(small("model=tiny", f"{group}={name}"), store, tmp_path / name)


@pytest.mark.parametrize("name", files("experiment"))
def test_every_experiment_composes_and_trains_a_step(store, tmp_path, name: str) -> None:
    train_a_step(small(f"experiment={name}"), store, tmp_path)


def tune(config: dict[str, Any], store: OmicsStore, checkpoint: Checkpoint, kind: str, folder: Path) -> Checkpoint:
    rows = np.arange(PEOPLE)
    finetune(
        store,
        checkpoint=checkpoint,
        outcome=OUTCOMES[kind],
        rows=rows,
        config=config,
        directory=folder / "tuned",
    )
    opened = load_checkpoint(folder / "tuned")
    name = OUTCOMES[kind].name
    assert opened.outcomes == (OUTCOMES[kind],)
    predicted = predict(opened.model, reader_for(opened, store), rows, head=name)
    assert predicted.isfinite().all()
    return opened


@pytest.mark.parametrize("name", files("adaptation"))
def test_every_adaptation_fits_a_head_that_comes_back(store, pretrained, tmp_path, name: str) -> None:
    tune(small("model=tiny", "task=finetune", f"adaptation={name}"), store, pretrained, "class", tmp_path)


HEADS = [(file.parent.name, file.stem) for file in sorted((configs_dir() / "head").glob("*/*.yaml"))]


@pytest.mark.parametrize(("kind", "name"), HEADS)
@pytest.mark.parametrize("adaptation", ["probe", "full"])
def test_every_head_is_fitted_to_its_kind_of_outcome_and_comes_back(
    store, pretrained, tmp_path, kind: str, name: str, adaptation: str
) -> None:
    config = small("model=tiny", "task=finetune", f"adaptation={adaptation}", f"head/{kind}={name}")
    opened = tune(config, store, pretrained, kind, tmp_path)
    target = yaml.safe_load((configs_dir() / "head" / kind / f"{name}.yaml").read_text())["_target_"]
    assert type(opened.model.heads[OUTCOMES[kind].name]).__name__ == target.rpartition(".")[2]


@pytest.mark.parametrize("name", files("trainer"))
def test_every_trainer_composes_and_its_strategy_builds(name: str) -> None:
    trainer = compose([*REQUIRED, f"trainer={name}"])["trainer"]
    assert {"accelerator", "devices", "precision", "strategy"} <= set(trainer)
    strategy = build(trainer["strategy"])
    assert callable(strategy) or strategy == "auto"


@pytest.mark.parametrize("group", ["task", "data", "logger"])
def test_every_other_choice_composes(group: str) -> None:
    for name in files(group):
        assert compose([*REQUIRED, f"{group}={name}"])[group]


def test_every_folder_of_configs_is_enumerated_here() -> None:
    known = {
        "model",
        "modality",
        "harmonise",
        "objective",
        "prior",
        "imputer",
        "kernel",
        "relative",
        "trajectory",
        "optimizer",
        "schedule",
        "experiment",
        "adaptation",
        "head",
        "trainer",
    }
    # hydra has settings of its own, cohort and search are no part of a run
    others = {"task", "data", "logger", "hydra", "cohort", "search"}
    assert {folder.name for folder in configs_dir().iterdir() if folder.is_dir()} <= known | others


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.learning_rate=1", r"'optimiser\.learning_rate' does not exist; did you mean 'optimizer'"),
        ("optimizer.learning_rte=1", "did you mean 'learning_rate'"),
        ("objective.cross_modal.dorp=0.1", "did you mean 'drop'"),
        ("modality.proteome.tokenizer.num_freqencies=3", "did you mean 'num_frequencies'"),
        ("modality.proteom.weight=3", "did you mean 'proteome'"),
        ("task.epoch=3", "did you mean 'epochs'"),
        ("sed=3", "did you mean 'seed'"),
        ("trainer=ddpp", "trainer=ddpp does not exist; did you mean 'ddp'"),
        ("adaptation=lorra", "did you mean 'lora'"),
        ("model=transfomer", "did you mean 'transformer'"),
        ("experiment=dem", "did you mean 'demo'"),
        ("objective=[masked_feature]", "did you mean 'masked_features'"),
        ("logger=wanb", "did you mean 'wandb'"),
    ],
)
def test_a_misspelt_key_or_choice_names_the_closest(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compose([*REQUIRED, override])


def test_what_must_be_given_is_asked_for_by_its_full_name() -> None:
    with pytest.raises(InputError, match=r"data\.store is not given; add data\.store="):
        compose(["run_dir=none"])


def test_a_misspelt_key_of_a_part_is_found_when_it_is_built(store, tmp_path) -> None:
    config = small("model=tiny", "+model.encoder.dept=3")
    with pytest.raises(InputError, match="PerceiverEncoder does not take 'dept'; did you mean 'depth'"):
        pretrain(store, rows=np.arange(PEOPLE), config=config, directory=tmp_path / "checkpoint")
