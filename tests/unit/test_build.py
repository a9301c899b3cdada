"""build: a config names classes of omicsfm, and nothing else that Python could import."""

import pytest

from omicsfm.build import build, resolve
from omicsfm.data.transforms.chain import Chain
from omicsfm.data.transforms.robust_z import RobustZ
from omicsfm.errors import InputError


def test_a_mapping_with_a_target_becomes_an_object_and_its_members_are_built_first() -> None:
    chain = build(
        {
            "_target_": "omicsfm.data.transforms.chain.Chain",
            "steps": [{"_target_": "omicsfm.data.transforms.robust_z.RobustZ"}],
        }
    )
    assert isinstance(chain, Chain)
    assert isinstance(chain.steps[0], RobustZ)


def test_what_has_no_target_is_returned_as_it_is() -> None:
    assert build({"a": [1, {"b": None}], "c": "text"}) == {"a": [1, {"b": None}], "c": "text"}


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "torch.load",
        "pandas.read_pickle",
        "joblib.load",
        "numpy.load",
        "subprocess.Popen",
        "omicsfm.cli.main",  # ours, but no room of parts
        "omicsfm.data.store.OmicsStore",
        "omicsfmx.model.Evil",
        "omicsfm.model",
        "",
        None,
        7,
    ],
)
def test_a_target_outside_the_rooms_is_refused(target: object) -> None:
    with pytest.raises(InputError, match="is refused"):
        build({"_target_": target})


@pytest.mark.parametrize(
    "target",
    [
        "omicsfm.data.transforms.chain.np.load",  # an imported module is no room
        "omicsfm.data.transforms.scales.InputError",  # imported into the room, defined elsewhere
        "omicsfm.model.omics_model.torch",
        "omicsfm.model.omics_model.nn.Module",
        "omicsfm.data.transforms.scales.default_transform",  # a function, not a class
        "omicsfm.data.transforms.chain.__class__",
        "omicsfm.model.no_such_module.Thing",
    ],
)
def test_only_classes_defined_in_a_room_resolve(target: str) -> None:
    with pytest.raises(InputError):
        resolve(target)


def test_a_near_miss_names_the_class_that_was_meant() -> None:
    with pytest.raises(InputError, match="did you mean 'RobustZ'"):
        resolve("omicsfm.data.transforms.robust_z.RobustZz")


def test_an_unknown_key_names_the_one_that_was_meant() -> None:
    with pytest.raises(InputError, match="Chain does not take 'step'; did you mean 'steps'"):
        build({"_target_": "omicsfm.data.transforms.chain.Chain", "step": []})


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match="Chain needs 'steps'"):
        build({"_target_": "omicsfm.data.transforms.chain.Chain"})
