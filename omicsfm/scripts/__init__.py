"""``train.py`` and ``eval/*.py`` as modules: ``python -m omicsfm.scripts.train`` runs the same file everywhere.

A wheel has them in this folder. In a clone they stand at its top, which the search path below adds.
"""

from omicsfm.paths import PACKAGE

if (PACKAGE.parent / "train.py").is_file():
    __path__ += [str(PACKAGE.parent), str(PACKAGE.parent / "eval")]
