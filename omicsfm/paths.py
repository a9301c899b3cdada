"""Where the files lie that travel with the code: in a clone at its top, in a wheel inside the package."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def configs_dir() -> Path:
    """The folder of Hydra configs.

    Raises:
        FileNotFoundError: Neither a wheel's nor a clone's configs are there: the installation is broken.
    """
    for candidate in (PACKAGE / "configs", PACKAGE.parent / "configs"):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"omicsfm is installed without its configs (looked in {PACKAGE} and {PACKAGE.parent}).")
