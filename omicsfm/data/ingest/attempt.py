"""An attempt at a store, and what is left of it when it fails."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from omicsfm.data.ingest.progress import BusyError, Progress
from omicsfm.data.store_writer import StoreWriter, space_of
from omicsfm.errors import InputError


@contextmanager
def attempt(writer: StoreWriter, progress: Progress) -> Iterator[None]:
    """Input that is refused leaves nothing behind; a full disk or an interruption leaves what was done.

    Raises:
        InputError: The input was refused, or the store cannot be written.
    """
    try:
        yield
    except BusyError:
        raise
    except InputError:
        progress.discard()
        raise
    except OSError as error:
        raise InputError(
            f"{writer.path}: cannot be written ({error.strerror or error}). What was done is kept in {writer.partial}: "
            "solve that and run the same command again, or delete the folder."
        ) from None
    finally:
        progress.release()


def check_space(writer: StoreWriter, needed: int) -> None:
    """Refuse before hours of work what the disk cannot hold; ``needed`` is in bytes.

    Raises:
        InputError: The disk has less.
    """
    folder = next(parent for parent in writer.partial.resolve().parents if parent.exists())
    free = shutil.disk_usage(folder).free + (space_of(writer.partial) if writer.partial.exists() else 0)
    if needed > free:
        raise InputError(
            f"{writer.path}: the store may take {needed / 1e9:,.1f} GB, but {folder} has {free / 1e9:,.1f} GB free. "
            "Make room, or name a STORE on another disk."
        )
