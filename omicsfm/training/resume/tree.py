"""A nested state -> plain JSON data and named tensors, and back: a state holds no objects, so reading runs no code."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

MARK = "$"
"""Key of the mappings that stand for what JSON does not have."""


def flatten(state: Any) -> tuple[Any, dict[str, Tensor]]:
    """``state`` with a reference in the place of each tensor, and the tensors by their path.

    Raises:
        TypeError: Something is neither a tensor nor plain data; the message names its path.
    """
    tensors: dict[str, Tensor] = {}
    return _plain(state, "", tensors), tensors


def _plain(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[path] = value
        return {MARK: "tensor", "name": path}
    if isinstance(value, Mapping):
        if MARK not in value and all(isinstance(key, str) for key in value):
            return {key: _plain(item, f"{path}/{key}", tensors) for key, item in value.items()}
        pairs = [[_plain(key, path, tensors), _plain(item, f"{path}/{key}", tensors)] for key, item in value.items()]
        return {MARK: "pairs", "items": pairs}
    if isinstance(value, (list, tuple)):
        items = [_plain(item, f"{path}/{number}", tensors) for number, item in enumerate(value)]
        return items if isinstance(value, list) else {MARK: "tuple", "items": items}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"state{path} is {type(value).__name__}; a saved state holds tensors and plain data only.")


def restore(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The state that ``flatten`` took apart."""
    if isinstance(plain, list):
        return [restore(item, tensors) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if MARK not in plain:
        return {key: restore(item, tensors) for key, item in plain.items()}
    if plain[MARK] == "tensor":
        return tensors[plain["name"]]
    if plain[MARK] == "tuple":
        return tuple(restore(item, tensors) for item in plain["items"])
    return {restore(key, tensors): restore(item, tensors) for key, item in plain["items"]}
