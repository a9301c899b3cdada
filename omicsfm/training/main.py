"""The Hydra entry: compose a config, hand it over as plain data, and step back."""

import errno
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from omicsfm.command import run_command
from omicsfm.errors import InputError, closest
from omicsfm.paths import configs_dir

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)


def main() -> None:
    """Run a training from the command line; a config at fault ends with one message and status 1."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors of composition reach us instead of Hydra's printer
    run_command(_compose_and_run)


def _compose_and_run() -> None:
    try:
        # it composes everything a second time for a key that no config of ours sets
        Hydra.get_mode = lambda *_, **__: None  # type: ignore[method-assign]
        hydra.main(version_base=None, config_path=str(configs_dir()), config_name="train")(_run)()
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from error
    except OSError as error:  # Hydra makes the run folder
        raise _of_the_disk(error) from error


def _of_the_disk(error: OSError) -> Exception:
    if error.errno not in DISK:
        return error
    return InputError(
        f"{error.filename or 'a file of the run'}: cannot be written ({error.strerror}). Make room or rights, or "
        "choose another run_dir; what was saved before is whole, and the same command goes on from there."
    )


def _run(config: DictConfig) -> None:
    from omicsfm.training.quick_start import import_lightning

    import_lightning()
    from omicsfm.training.preemption import ToBeContinued, exit_status
    from omicsfm.training.run import run

    def job() -> int:  # inside Hydra, which prints a line of its own about any exception that leaves it
        try:
            run(resolve(config))
        except ToBeContinued as why:
            print(f"{why}; the same command goes on from there", file=sys.stderr, flush=True)
            return exit_status()
        except OSError as error:
            raise _of_the_disk(error) from error
        return 0

    run_command(job)


def resolve(config: DictConfig) -> dict[str, Any]:
    """The composed config as plain data.

    Raises:
        InputError: A value that must be given is not.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise InputError(explain(error)) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def compose(overrides: Sequence[str]) -> dict[str, Any]:
    """The config that a command line with these overrides would run, as plain data; no run folder is made.

    Raises:
        InputError: An override names no key, or a choice that does not exist.
    """
    try:
        GlobalHydra.instance().clear()
        with hydra.initialize_config_dir(str(configs_dir()), version_base=None):
            return resolve(hydra.compose("train", overrides=list(overrides)))
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from error


def explain(error: Exception) -> str:
    """One message for what Hydra found wrong: the key, and the names that are known beside it."""
    text = str(error).splitlines()[0]
    missing = re.search(r"Missing mandatory value: (\S+)(?:\s+full_key: (\S+))?", str(error))
    if missing:
        # `store` stands at data.store; `run_dir` is missed at hydra.run.dir, which refers to it
        name, place = missing[1], missing[2] or ""
        key = place if place.endswith(f".{name}") else name
        return f"{key} is not given; add {key}=... to the command."
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        key = unknown[1].lstrip("+~")
        parts, parent = key.split("."), ""
        while len(parts) > 1 and parts[0] in known_keys(parent):
            parent = f"{parent}.{parts.pop(0)}".lstrip(".")
        return f"config key '{key}' does not exist; {closest(parts[0], known_keys(parent))}. See configs/train.yaml."
    group = re.search(r"Could not (?:find|load) '([^']+)/([^'/]+)'", str(error))
    if group:
        options = [file.stem for file in (configs_dir() / group[1]).glob("*.yaml")]
        return f"config {group[1]}={group[2]} does not exist; {closest(group[2], options)}."
    return text


def known_keys(parent: str) -> list[str]:
    """Keys of the default config under a dotted parent."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(configs_dir()), version_base=None):
        node = hydra.compose("train")
    node = OmegaConf.select(node, parent) if parent else node
    return [str(key) for key in node] if isinstance(node, DictConfig) else []


if __name__ == "__main__":
    main()
