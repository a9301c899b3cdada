"""Where a path of a COHORT.yaml leads: what a reader of the yaml sees is what is read."""

from pathlib import Path

from omicsfm.errors import InputError


def place_of(said: str, where: str, folder: Path) -> Path:
    """The file that a yaml in ``folder`` names.

    A relative path stays inside the folder, links followed, so that a folder of tables that came from elsewhere reads
    nothing but itself; an absolute path (as ``${oc.env:NAME}`` gives) says where it leads.

    Raises:
        InputError: The path leaves the folder, or is none.
    """
    if not said.strip() or "\0" in said:
        raise InputError(f"{where}: expected a path, found {said!r}.")
    path = folder / said
    try:
        leads = path.resolve()
    except (OSError, RuntimeError) as error:  # links in a circle, a name that is too long
        raise InputError(f"{where}: '{said}' leads nowhere ({error}).") from None
    if not Path(said).is_absolute() and not leads.is_relative_to(folder.resolve()):
        raise InputError(
            f"{where}: '{said}' leads out of the folder of the yaml, to {leads}. A relative path stays inside, links "
            f"included: if that file is meant, write the absolute path, or ${{oc.env:NAME}}/... with a variable."
        )
    return path
