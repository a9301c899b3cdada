"""A search space: keys of the training config, and what each may be.

optimizer.learning_rate: {low: 1.0e-3, high: 2.0e-2, log: true}   a number between the two
data.batch_size: {low: 16, high: 64, step: 16}                    a whole number, where both ends are
model: {choices: [tiny, small]}                                   an option of a group, or one of some values
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from omicsfm.errors import InputError, closest

KNOWN = ("low", "high", "log", "step", "choices")
Value = float | int | str | bool


@dataclass(frozen=True)
class Dimension:
    """One key and its values: ``choices``, or numbers between ``low`` and ``high``."""

    key: str
    choices: tuple[Value, ...] = ()
    low: float | int = 0
    high: float | int = 0
    log: bool = False
    step: float | int | None = None

    def suggest(self, trial: Any) -> Value:
        """A value for an Optuna trial."""
        if self.choices:
            return trial.suggest_categorical(self.key, list(self.choices))
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.key, self.low, self.high, log=self.log, step=int(self.step or 1))
        return trial.suggest_float(self.key, self.low, self.high, log=self.log, step=self.step)


def read_space(path: Path) -> tuple[Dimension, ...]:
    """The dimensions in a YAML file.

    Raises:
        InputError: It cannot be read, or an entry does not say what its key may be.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable search space ({' '.join(str(error).split())}).") from None
    if not isinstance(content, Mapping) or not content:
        raise InputError(
            f"{path}: holds no search space; write KEY: {{low: ..., high: ...}} or KEY: {{choices: [...]}}."
        )
    return tuple(_dimension(path, str(key), entry) for key, entry in content.items())


def _dimension(path: Path, key: str, entry: Any) -> Dimension:
    where = f"{path}: {key}"
    if not isinstance(entry, Mapping):
        raise InputError(f"{where} is {entry!r}; write {{low: ..., high: ...}} or {{choices: [...]}}.")
    for name in entry:
        if name not in KNOWN:
            raise InputError(f"{where}: '{name}' is not known; {closest(str(name), KNOWN)}.")
    if "choices" in entry:
        choices = entry["choices"]
        if len(entry) > 1 or not isinstance(choices, list) or len(choices) < 2:
            raise InputError(f"{where}: choices is a list of two or more values, and stands alone.")
        return Dimension(key, choices=tuple(choices))
    low, high = (_number(where, name, entry.get(name)) for name in ("low", "high"))
    log, step = bool(entry.get("log", False)), entry.get("step")
    if not low < high or (log and low <= 0):
        raise InputError(
            f"{where}: low {low} must lie below high {high}{', and above 0 for log: true' if log else ''}."
        )
    if log and step is not None:
        raise InputError(f"{where}: log and step do not go together; leave one out.")
    return Dimension(key, low=low, high=high, log=log, step=step)


def _number(where: str, name: str, value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        found = "missing" if value is None else f"{value!r}, not a number. In YAML 1e-3 is a word: write 1.0e-3"
        raise InputError(f"{where}: {name} is {found}.")
    return value
