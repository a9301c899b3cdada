"""logger=wandb writes a local run and reaches for no other machine."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
STEP, BLOCK = "trainer/global_step", 32768

GUARDED = """
import socket, sys

def local(address):
    return isinstance(address, (str, bytes)) or str(address[0]) in ("127.0.0.1", "localhost", "::1")

connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

def guarded_connect(self, address):
    if not local(address):
        sys.exit(f"connected to {address}")
    return connect(self, address)

def guarded_getaddrinfo(host, *arguments, **named):
    if host not in ("127.0.0.1", "localhost", "::1", None):
        sys.exit(f"asked for the address of {host}")
    return getaddrinfo(host, *arguments, **named)

socket.socket.connect, socket.getaddrinfo = guarded_connect, guarded_getaddrinfo

from omicsfm.training import saving
from omicsfm.training.main import main

if "--stop" in sys.argv:  # when the first epoch ends
    sys.argv.remove("--stop")
    save = saving.SaveStates.on_train_epoch_end

    def asked_to_stop(*given):
        saving.stop_request.reason = "the test"
        save(*given)

    saving.SaveStates.on_train_epoch_end = asked_to_stop

sys.argv[0] = "train.py"
main()
"""


def test_starts_of_one_run_are_one_offline_run_and_nothing_leaves_the_machine(simulated_store, tmp_path) -> None:
    """The second start goes on with the steps of the first, under its id: synced in their order they are one run."""
    pytest.importorskip("wandb", reason="wandb is an extra")
    command = [
        sys.executable,
        "-c",
        GUARDED,
        "task=pretrain",
        f"data.store={simulated_store.path}",
        "run_dir=run",
        "model=tiny",
        "task.epochs=2",
        "logger=wandb",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    environment |= {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}
    environment |= {f"{scheme}_proxy": "http://192.0.2.1:9" for scheme in ("http", "https")}  # wandb's own service, too
    for more, status in ((["--stop"], 75), ([], 0)):
        ended = subprocess.run(
            [*command, *more], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == status, ended.stderr
    records = sorted((tmp_path / "run").glob("wandb/offline-run-*/*.wandb"), key=lambda file: file.stat().st_mtime)
    assert {record.stem for record in records} == {f"run-{(tmp_path / 'run' / 'run_id').read_text()}"}
    before, after = map(logged, records)
    steps = [json.loads(line)["step"] - 1 for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert before == {steps[0]: {"val/loss", "train/loss"}}
    assert after == {steps[1]: {"val/loss", "train/loss"}}
    data = b"".join(record.read_bytes() for record in records)
    assert b"val/loss" in data
    participants = simulated_store.visits["participant_id"].astype(str).unique()
    assert not any(participant.encode() in data for participant in participants)
    assert (tmp_path / "run" / "log.jsonl").exists()


def logged(record: Path) -> dict[int, set[str]]:
    """By optimiser step: which of the losses an offline record holds."""
    from wandb.proto.wandb_internal_pb2 import Record

    found: dict[int, set[str]] = {}
    for data in entries(record.read_bytes()):
        items = {
            item.key or ".".join(item.nested_key): item.value_json for item in Record.FromString(data).history.item
        }
        if STEP in items:
            found.setdefault(int(items[STEP]), set()).update({"train/loss", "val/loss"} & items.keys())
    return found


def entries(data: bytes) -> Iterator[bytes]:
    """Of a file in the log format of LevelDB after seven bytes of wandb's: blocks of 32 KiB of checked pieces."""
    place, whole = 7, b""
    while place + 7 <= len(data):
        if (left := BLOCK - place % BLOCK) < 7:
            place += left
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # the whole of an entry, or its last piece
            yield whole
            whole = b""
