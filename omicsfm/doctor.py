"""What this machine offers a training run, what is wrong with it, and the remedy for each.

Nothing is changed and nothing is sent. A finding that *stops* would end a run or lose its results; the others
cost time or surprise.
"""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

GIB = 2**30
FREE_DISK_STOPS = 1 * GIB  # a checkpoint of a base model with its optimizer state no longer fits
SHARED_MEMORY_LOW = 256 * 2**20  # loader workers hand batches over in /dev/shm; containers often give 64 MiB


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``problem`` says what is wrong and what to do; empty when nothing is."""

    subject: str
    found: str
    problem: str = ""
    stops: bool = False

    @property
    def line(self) -> str:
        """The finding as text, a problem on a line of its own."""
        mark = "STOP" if self.stops else "note" if self.problem else "ok"
        return f"{mark:>4}  {self.subject:<12} {self.found}" + (f"\n{'':18} -> {self.problem}" if self.problem else "")


def examine(run_dir: Path = Path()) -> list[Finding]:
    """Everything about this machine that decides whether and how a run in ``run_dir`` can train."""
    return [
        _python(),
        _requirements(),
        *_torch(),
        _extra("wandb"),
        _wandb_mode(),
        _extra("deepspeed"),
        _slurm(),
        _rendezvous(),
        _cores(),
        _memory(),
        _shared_memory(),
        *_disk(run_dir),
    ]


def _python() -> Finding:
    return Finding("python", f"{sys.version.split()[0]} ({sys.executable})")


def _requirements() -> Finding:
    from packaging.requirements import Requirement

    try:
        declared = [Requirement(line) for line in metadata.requires("omicsfm") or []]
    except metadata.PackageNotFoundError:
        return Finding("packages", "omicsfm is not installed", "run: pip install -c constraints.txt -e .")
    wrong = []
    for requirement in declared:
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if wrong:
        return Finding("packages", "; ".join(wrong), "run: pip install -c constraints.txt -e . in a clone.", True)
    return Finding("packages", f"omicsfm {metadata.version('omicsfm')} and all it requires")


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of a broken install
        yield Finding("torch", f"cannot be imported: {error}", "run: pip install -c constraints.txt torch", True)
        return
    yield Finding("torch", f"{torch.__version__}, {torch.get_num_threads()} threads")
    driver = shutil.which("nvidia-smi")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            precision = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
            yield Finding(f"gpu {index}", f"{properties.name}, {properties.total_memory / GIB:.0f} GiB, {precision}")
    elif driver and torch.version.cuda is None:
        remedy = "this torch is built for CPU; install a CUDA build: see https://pytorch.org/get-started/locally"
        yield Finding("gpu", "a driver, but torch cannot use it", remedy)
    elif driver:
        yield Finding(
            "gpu", "a driver, but no visible GPU", "ask for one (sbatch --gres=gpu:1), or unset CUDA_VISIBLE_DEVICES."
        )
    else:
        yield Finding("gpu", "none: trainer=cpu")
    distributed = torch.distributed.is_available()
    backends = [
        name
        for name, there in (
            ("nccl", distributed and torch.distributed.is_nccl_available()),
            ("gloo", distributed and torch.distributed.is_gloo_available()),
        )
        if there
    ]
    lacking = "several processes cannot talk; install a torch build with gloo." if not backends else ""
    if torch.cuda.is_available() and "nccl" not in backends:
        lacking = "several GPUs cannot talk; install a torch build with NCCL."
    yield Finding("collectives", ", ".join(backends) or "none", lacking)


def _extra(package: str) -> Finding:
    try:
        return Finding(package, metadata.version(package))
    except metadata.PackageNotFoundError:
        return Finding(package, f"not installed; optional: pip install -c constraints.txt 'omicsfm[{package}]'")


def _wandb_mode() -> Finding:
    mode = os.environ.get("WANDB_MODE", "")
    if not mode:
        # init(mode="offline") alone still resolves a host name
        return Finding("WANDB_MODE", "not set", "where no traffic may leave: export WANDB_MODE=offline")
    return Finding("WANDB_MODE", mode)


def _slurm() -> Finding:
    job, tasks = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_NTASKS", "1")
    if job is None:
        return Finding("slurm", "sbatch found" if shutil.which("sbatch") else "none here: runs start directly")
    found = f"job {job}, {tasks} tasks, restart {os.environ.get('SLURM_RESTART_COUNT', '0')}"
    if tasks != "1" and "SLURM_PROCID" not in os.environ:
        return Finding("slurm", found, "training would wait for tasks that nobody started; start it with srun.", True)
    return Finding("slurm", found)


def _rendezvous() -> Finding:
    name = socket.gethostname()
    try:
        address = socket.getaddrinfo(name, None)[0][4][0]
    except OSError as error:
        remedy = f"several processes cannot meet; add '{name}' to /etc/hosts, or set GLOO_SOCKET_IFNAME."
        return Finding("host name", f"{name} does not resolve ({error})", remedy)
    return Finding("host name", f"{name} is {address}")


def _cores() -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS", "")
    found = f"{usable} usable" + (f", OMP_NUM_THREADS={threads}" if threads else "")
    if threads.isdigit() and int(threads) > usable:
        return Finding("cores", found, f"threads wait for each other; export OMP_NUM_THREADS={usable}")
    return Finding("cores", found)


def _memory() -> Finding:
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = installed
    for file in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        if file.is_file() and (text := file.read_text().strip()).isdigit():
            limit = min(limit, int(text))
    found = f"{limit / GIB:.1f} GiB" + (f" (limit; {installed / GIB:.1f} GiB installed)" if limit < installed else "")
    return Finding("memory", found, "small; lower data.batch_size." if limit < 4 * GIB else "")


def _shared_memory() -> Finding:
    folder = Path("/dev/shm")
    if not folder.is_dir():
        return Finding("/dev/shm", "absent", "loader workers need it on Linux; set data.workers=0.")
    size = shutil.disk_usage(folder).total
    low = "loader workers may die with a bus error; docker run --shm-size=2g, or data.workers=0."
    return Finding("/dev/shm", f"{size / GIB:.1f} GiB", low if size < SHARED_MEMORY_LOW else "")


def _disk(run_dir: Path) -> Iterator[Finding]:
    there = run_dir.resolve()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    found = f"{free / GIB:.1f} GiB free at {there}"
    if not os.access(there, os.W_OK):
        yield Finding("run folder", f"{there} cannot be written", "choose another with --run-dir and run_dir=.", True)
    elif free < FREE_DISK_STOPS:
        yield Finding("run folder", found, "a checkpoint may not fit; free space, or choose another run_dir=.", True)
    else:
        yield Finding("run folder", found)
    try:
        staging = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        yield Finding("TMPDIR", str(error), "export TMPDIR=/a/folder/you/can/write", True)
        return
    elsewhere = staging.stat().st_dev != there.stat().st_dev
    remedy = (
        "on another filesystem than the run folder: what is moved from there is not atomic. omicsfm stages its "
        "checkpoints beside their target; for other tools, export TMPDIR inside the run's filesystem."
    )
    yield Finding("TMPDIR", str(staging), remedy if elsewhere else "")
