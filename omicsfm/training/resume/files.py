"""Files of a state: each is on the disk, with its SHA-256 known, before anything names it."""

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
CHUNK = 1 << 24


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write host tensors in the safetensors format, without a second copy of them in memory; returns the SHA-256.

    The interpreter's lock is free while a chunk is hashed or written, so a training step beside this goes on.
    """
    header: dict[str, Any] = {}
    offset = 0
    ordered = sorted(tensors.items(), key=lambda item: -item[1].element_size())  # every start is aligned
    for name, tensor in ordered:
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    parts = (_bytes(tensor) for _, tensor in ordered)
    return _write(file, (struct.pack("<Q", len(text)), text, *parts))


def write_json(file: Path, plain: Any) -> str:
    """Write plain data; returns the SHA-256."""
    return _write(file, (json.dumps(plain).encode(),))


def sync_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256(file: Path) -> str:
    """Of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    return memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())


def _chunks(parts: Iterable[Any]) -> Iterator[Any]:
    for part in parts:
        for start in range(0, len(part), CHUNK):
            yield part[start : start + CHUNK]


def _write(file: Path, parts: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    with file.open("wb", buffering=0) as stream:
        for chunk in _chunks(parts):
            digest.update(chunk)
            written = 0
            while written < len(chunk):  # a nearly full disk takes a part of it
                written += stream.write(chunk[written:])
        os.fsync(stream.fileno())
    return digest.hexdigest()
