"""A COHORT.yaml as plain mappings, lists and values: nothing in it can run, grow without bound, or read the environment
but for the one form that may stand in a path.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from omicsfm.errors import InputError

MAX_BYTES = 300_000
MAX_NODES = 100_000
"""Values of a yaml with every alias written out; ten short lines of aliases can stand for 10^9."""
MAX_DEPTH = 32
VARIABLE = re.compile(r"\$\{oc\.env:([A-Za-z_][A-Za-z0-9_]*)\}")
FLOAT = re.compile(
    r"[-+]?(?:\d[\d_]*(?:\.[\d_]*)?(?:[eE][-+]?\d+)?|\.\d[\d_]*(?:[eE][-+]?\d+)?)|[-+]?\.inf|\.nan", re.I
)


def read_yaml(path: Path) -> Any:
    """The content of a COHORT.yaml; ``${oc.env:NAME}`` in a path is replaced by the variable of the environment.

    Raises:
        InputError: The file is missing, no yaml, larger than it can honestly be, or a variable is not set.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: {path.stat().st_size:,} bytes, expected a COHORT.yaml of up to {MAX_BYTES:,}.")
        loader = _Loader(path.read_text(encoding="utf-8-sig"))
        root = loader.get_single_node()
        refuse_swollen(root, _children, str(path))
        node = None if root is None else loader.construct_document(root)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable COHORT.yaml ({' '.join(str(error).split())}).") from None
    return _with_variables(node, str(path), in_path=False)


def refuse_swollen(root: Any, children: Callable[[Any], Iterable[Any]], where: str) -> None:
    """Refuse a tree of more values or levels than a description of a cohort has; ``children`` are those of a node.

    Raises:
        InputError: It has more than MAX_NODES values, aliases written out, or more than MAX_DEPTH levels.
    """
    waiting, seen = [(root, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if seen > MAX_NODES or depth > MAX_DEPTH:
            what = f"more than {MAX_NODES:,} values" if seen > MAX_NODES else f"more than {MAX_DEPTH} levels"
            raise InputError(f"{where}: {what}, aliases written out; a description of a cohort has fewer.")
        waiting.extend((child, depth + 1) for child in children(node))


class _Loader(yaml.SafeLoader):
    """YAML as JSON knows it: 1e3 is a number, a date is text, and a key stands once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        counted = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, count in counted.items():
            if count > 1:
                raise yaml.YAMLError(f"the key '{key}' stands twice in one mapping{node.start_mark}")
        return super().construct_mapping(node, deep=deep)


PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")
_Loader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in PLAIN
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if not tag.endswith((":timestamp", ":float"))]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(f"(?:{FLOAT.pattern})$", re.I), list("-+.0123456789")
)


def _children(node: Any) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _with_variables(node: Any, where: str, *, in_path: bool) -> Any:
    if isinstance(node, Mapping):
        return {key: _with_variables(own, f"{where}: {key}", in_path=key == "path") for key, own in node.items()}
    if isinstance(node, list):
        return [_with_variables(own, where, in_path=in_path) for own in node]
    if not isinstance(node, str) or "${" not in node:
        return node
    if not in_path:
        if VARIABLE.search(node):
            raise InputError(f"{where}: found '{node}'; a variable of the environment may stand in a path only.")
        return node
    for name in VARIABLE.findall(node):
        if name not in os.environ:
            raise InputError(f"{where}: environment variable '{name}' not found. Set it, or write the path out.")
    written = VARIABLE.sub(lambda found: os.environ[found[1]], node)
    if "${" in VARIABLE.sub("", node):
        raise InputError(f"{where}: found '{node}'; the one form that is replaced is ${{oc.env:NAME}}.")
    return written
