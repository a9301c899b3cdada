# make demo    the main job end to end on a simulated cohort; prints the path of its report
# make test    the suite                make lint    ruff, mypy, codespell
# make bench SUITE=loader [SMALL=1]     limits of the machine, peers and ourselves; one line per goal
# Each installs into .venv first. Variables: PYTHON=python3.12, PIP_ARGS="--index-url ...", JOBS=8, PYTEST_ARGS="-k cox".

PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell $(p) -c 'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS)
JOBS ?= 2
export WANDB_MODE ?= offline

.PHONY: demo test lint bench constraints clean

# The split comes from the benchmark, so that pretraining and fine-tuning leave out the people of fold 0 who are tested last.
# One thread: the demo's tensors are small, and on a busy machine several threads mostly wait for each other (7 s became 74).
demo: export OMP_NUM_THREADS ?= 1
demo: export PATH := $(CURDIR)/.venv/bin:$(PATH)
demo: .venv/installed
	rm -rf demo
	omicsfm simulate demo/cohort.h5mu --participants 120 --visits 2 --genes 120 --proteins 80 --metabolites 60 --seed 1
	omicsfm prepare demo/cohort.h5mu demo/store
	omicsfm inspect demo/store
	python eval/benchmark.py --store demo/store --outcome responder --out demo/benchmark \
	  --methods linear,late_fusion,omicsfm --repeats 1 --set experiment=demo
	python train.py experiment=demo task=pretrain data.store=demo/store data.split=demo/benchmark/split.csv run_dir=demo/pretrain
	python train.py experiment=demo task=finetune data.store=demo/store data.split=demo/benchmark/split.csv \
	  checkpoint=demo/pretrain/checkpoint outcome=responder run_dir=demo/finetune
	python eval/evaluate.py --checkpoint demo/finetune/checkpoint --store demo/store --outcome responder \
	  --split demo/benchmark/split.csv --out demo/evaluation
	@echo "methods compared: $(CURDIR)/demo/benchmark/report.html"
	@echo "one model tested: $(CURDIR)/demo/evaluation/report.html"

test: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

bench: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks $(SUITE) $(if $(SMALL),--small)

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "No CPython 3.11 or newer found. Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# torch first and pinned: deepspeed asks it for the accelerator while it builds, and a resolver that is free to choose brings CUDA
.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) torch
	$(PIP) --editable '.[wandb]'
	@touch $@

.venv/installed-dev: .venv/installed
	DS_BUILD_OPS=0 $(PIP) --editable '.[dev,wandb,deepspeed,survival,slurm,explain,search]'
	@touch $@

constraints: .venv/installed-dev
	{ sed '/^torch==/,$$d' constraints.txt; $(BIN)/pip freeze --all --exclude-editable | sed 's/+cpu$$//' \
	  | grep -viE '^(pip|setuptools|omicsfm)(==| )' | awk '/^torch==/ {print; next} {rest = rest $$0 "\n"} END {printf "%s", rest}'; } > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv demo build dist .pytest_cache .ruff_cache .mypy_cache
