"""COHORT.yaml files hurt anywhere: any value in the place of any other, any text in the place of yaml."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]
SAID: dict[str, Any] = {
    "name": "drawn",
    "people": "somebody",
    "visits": {
        "path": "clinical.csv", "participant_id": {"from": "subject", "pattern": "(S\\d+)"}, "visit": "timepoint",
        "time_days": "day", "age": "age", "keep": {"sex": {"from": "sex", "values": {"f": "female"}}},
        "where": {"age": {"at_least": 18, "below": 99}},
        "join": [{"path": "wards.csv", "key": "ward"}],
    },
    "modalities": {
        "proteome": {
            "path": "m.csv", "namespace": "local", "scale": "log2", "key": ["subject", "timepoint"], "columns": "P.*",
            "drop": ["P9"], "allow": ["P0"], "below_limit": "<LOD", "repeated_features": "refuse", "platform": "olink",
        }
    },
    "outcomes": {
        "severe": {"kind": "class", "column": "severe", "level": "visit", "classes": ["no", "yes"]},
        "bmi": {"kind": "quantity", "column": "bmi", "level": "visit", "among": {"sex": ["f", "m"]}},
        "death": {"kind": "survival", "time_years": "fu", "event": "died", "event_if": {"equals": 1}, "level": "visit"},
    },
    "subgroups": ["sex"],
    "require": ["proteome"],
    "policy": {"purposes": ["research"], "min_cell_count": 10, "expires": "2030-01-01"},
}  # fmt: skip
CLINICAL = ["subject,timepoint,day,age,sex,severe,bmi,fu,died,ward"] + [
    f"S{n},V1,0,{40 + n},{'fm'[n % 2]},{('no', 'yes')[n % 3 == 0]},{20 + n / 3:.2f},{n + 1},{n % 2},{n % 3}"
    for n in range(12)
]
MATRIX = ["subject,timepoint,P0,P1,P9"] + [f"S{n},V1,{n % 5 + 0.5},{n * n % 7 + 0.25},{n}" for n in range(12)]
WARDS = ["ward,beds", "0,10", "1,20", "2,30"]
ODD = (
    None, True, False, -1, 0, 1.5, 1e308, float("nan"), float("inf"), 10**30, "", " ", "x", "P0", "subject", "(",
    "(a", "[", "*",
    "../clinical.csv", "/etc/passwd", "m.csv", "clinical.csv", "${oc.env:HOME}", "${oc.env:NO_SUCH}/x", "${name}",
    "???",
    "\x00", "\u202e", "💉", "a" * 3000, [], {}, [[]], [{}], [None], ["P0"], ["P0", "P0"], [1, 2], {"a": 1},
    {"from": "age"},
    {"from": "age", "bands": [1, 2]}, {"from": "age", "bands": ["x"]}, {"from": "age", "bands": [float("nan")]},
    {"from": "sex", "values": {"f": None}}, {"from": "sex", "values": [1]}, {"value": None}, {"value": [1]},
    {"from": 5},
    {"from": ["age"]}, {"from": "age", "pattern": "(\\d)(\\d)"}, {"from": "age", "pattern": "()"}, {"equals": {}},
    {"equals": [1]}, {"in": 5}, {"below": "x"}, {"below": float("nan")}, {"matches": "("}, {"matches": 5},
    {"present": 1},
    {"not": None}, {"path": "m.csv"}, [{"path": "m.csv"}, {"path": "m.csv"}], ["m.csv", "m.csv"], {"path": ["m.csv"]},
)  # fmt: skip
TEXTS = (
    "", "\n", "name", "- a", "a: b: c", "{", "[", "&a [*a]", "a: &a [1]\nb: *c", "%YAML 9.9", "\t", "? a\n? b",
    "!!set {a}",
    "!!python/name:os.system", "a: 'x", "a: |\n x\n  y\nb", "---\n---\n", "\ufeff", "{a: 1, a: 2}",
    "x: 2020-99-99", "<<: 5",
)  # fmt: skip


@st.composite
def descriptions(draw: Draw) -> tuple[str, list[str]]:
    """The text of a COHORT.yaml, and what was done to it."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(TEXTS) | st.text(max_size=40)), ["text"]
    said, done = deepcopy(SAID), []
    for _ in range(draw(st.integers(0, 3))):
        holder, key = draw(st.sampled_from(list(_places(said))))
        action = draw(st.sampled_from(("replace", "replace", "replace", "remove", "rename")))
        if action == "replace":
            holder[key] = deepcopy(draw(st.sampled_from(ODD)))
        elif action == "remove":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(st.sampled_from(("x", "", "path", "from", None, 5, True)))] = holder.pop(key)
        done.append(f"{action} {key}")
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True), done


def write_description(text: str, folder: Path) -> Path:
    """Write the yaml beside its good tables."""
    for name, lines in (("clinical.csv", CLINICAL), ("m.csv", MATRIX), ("wards.csv", WARDS)):
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "COHORT.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    return folder / "COHORT.yaml"


def _places(node: Any) -> Any:
    """Every mapping and list of the description with each of its keys."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])
