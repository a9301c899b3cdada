"""logger=wandb writes a local run and reaches for no other machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

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

from omicsfm.training.main import main

sys.argv[0] = "train.py"
main()
"""


def test_an_offline_run_is_written_beside_the_log_and_nothing_leaves_the_machine(simulated_store, tmp_path) -> None:
    pytest.importorskip("wandb", reason="wandb is an extra")
    command = [
        sys.executable,
        "-c",
        GUARDED,
        "task=pretrain",
        f"data.store={simulated_store.path}",
        "run_dir=run",
        "model=tiny",
        "task.epochs=1",
        "logger=wandb",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    environment |= {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}
    environment |= {f"{scheme}_proxy": "http://192.0.2.1:9" for scheme in ("http", "https")}  # wandb's own service, too
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (record,) = (tmp_path / "run").glob("wandb/offline-run-*/*.wandb")
    assert (tmp_path / "run" / "run_id").read_text() in record.parent.name  # a restart's record bears it too
    data = record.read_bytes()
    assert b"val/loss" in data
    participants = simulated_store.visits["participant_id"].astype(str).unique()
    assert not any(participant.encode() in data for participant in participants)
    assert (tmp_path / "run" / "log.jsonl").exists()
