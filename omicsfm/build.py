"""Plain mapping -> objects: the only reader of ``_target_``, in training and when a checkpoint is opened."""

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from omicsfm.errors import InputError, closest

ROOMS = ("model", "objectives", "heads", "data.transforms", "training", "baselines")
"""Rooms whose classes a config may name. A checkpoint comes from a stranger: nothing else resolves."""


def build(node: Any, **runtime: Any) -> Any:
    """The object that ``node`` describes.

    A mapping with ``_target_: omicsfm.<room>.<module>.<Class>`` becomes ``Class(**rest, **runtime)``, its values
    built first; a mapping or list without one is built member by member; anything else is returned as it is.
    ``runtime`` are the arguments that only the program knows, such as feature counts.

    Raises:
        InputError: The target is not a class defined in one of omicsfm's rooms, or it does not take a key.
    """
    if isinstance(node, Mapping):
        if "_target_" in node:
            target = resolve(node["_target_"])
            arguments = {key: build(value) for key, value in node.items() if key != "_target_"} | runtime
            return _call(target, arguments)
        return {key: build(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [build(value) for value in node]
    return node


def resolve(path: Any) -> type:
    """The omicsfm class at ``path``. The class must be *defined* there: an imported name does not count."""
    allowed = isinstance(path, str) and any(path.startswith(f"omicsfm.{room}.") for room in ROOMS)
    if not allowed:
        raise InputError(
            f"_target_: {path!r} is refused. A config names classes of omicsfm only "
            f"({', '.join(f'omicsfm.{room}' for room in ROOMS)})."
        )
    module_name, _, class_name = path.rpartition(".")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("omicsfm"):
            raise
        raise InputError(f"_target_: {path!r} does not exist: there is no module {module_name}.") from None
    found = vars(module).get(class_name)
    if not (isinstance(found, type) and found.__module__ == module_name):
        own = [n for n, v in vars(module).items() if isinstance(v, type) and v.__module__ == module_name]
        raise InputError(f"_target_: {path!r} is not a class defined in {module_name}; {closest(class_name, own)}.")
    return found


def _call(target: type, arguments: dict[str, Any]) -> Any:
    parameters = inspect.signature(target).parameters
    unknown = sorted(set(arguments) - set(parameters))
    if unknown:
        raise InputError(f"{target.__name__} does not take '{unknown[0]}'; {closest(unknown[0], parameters)}.")
    missing = [
        name
        for name, parameter in parameters.items()
        if name not in arguments
        and parameter.default is parameter.empty
        and parameter.kind is not parameter.VAR_POSITIONAL
    ]
    if missing:
        raise InputError(f"{target.__name__} needs '{missing[0]}', which the config does not give.")
    return target(**arguments)
