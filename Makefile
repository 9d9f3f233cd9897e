# make demo: the whole road at laptop size.  make test: what CI runs.  make help: the rest.
DEVICE ?= cpu
# The first Python that is there, runs and is of a version that TensorFlow has wheels for.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
LOCK := $(if $(filter cpu,$(DEVICE)),requirements.lock,requirements-$(DEVICE).lock)
# The locks are whole, so pip need not resolve: it also could not, since one plugin pins an older storage client (pyproject.toml).
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps
# torch comes apart from the lock: its CPU build is one file, any other brings gigabytes of CUDA packages.
TORCH := torch==2.13.0
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml
# As many as cores; a test process takes up to 1.5 GB.
WORKERS ?= 2

.PHONY: help install install-test demo test lint unit test-cases test-all test-exhaustive test-models real corpus-quality bench-data quality bench-training bench-memory tpu-check test-tokenization test-resume settings lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

install: $(VENV)/installed-$(DEVICE)  ## make .venv with what a run needs; DEVICE=cpu|gpu|tpu

$(VENV)/installed-$(DEVICE): $(LOCK)
	@test -x $(BIN)/python || test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; none was found" >&2; exit 1; }
	@for other in $(filter-out $(DEVICE),cpu gpu tpu); do if test -e $(VENV)/installed-$$other; then \
		echo "$(VENV) was made for DEVICE=$$other; say DEVICE=$$other, or remove $(VENV)" >&2; exit 1; fi; done
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -r $(LOCK)
	touch $@

install-test: $(VENV)/installed-test  ## the same, and what the tests need

$(VENV)/installed-test: $(VENV)/installed-$(DEVICE) requirements-test.lock
	$(INSTALL) -r requirements-test.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements-test.lock --constraint requirements.lock $(TORCH)
	touch $@

demo: install  ## raw text to a published, scored model with a report (config.yaml as shipped)
	$(BIN)/snakemake --profile profiles/local all

real: install  ## the whole road on the real text of ../shared/data; writes docs/real-run.md
	$(BIN)/python -m benchmarks.real_run

corpus-quality: install  ## cleaning judged by ../shared/data: precision, recall, losses, cost of each rule; writes benchmarks/results/corpus.md
	$(BIN)/python -m benchmarks.corpus

bench-data: install .venv-bench/installed  ## the data half beside its peers, under 20 minutes on 4 quiet cores; BENCH="--only peers"; writes benchmarks/results/data.md
	$(BIN)/python -m benchmarks.data $(BENCH)

.venv-bench/installed: benchmarks/data/requirements.lock
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/data/requirements.lock
	touch $@

quality: install  ## what transfer is worth, three seeds, 90 minutes on 4 cores; QUALITY="--settings plain --seeds 1"; writes docs/quality.md
	$(BIN)/python -m benchmarks.quality $(QUALITY)

bench-training: install-test .venv-bench-training/installed  ## training steps beside PyTorch and TextBrewer, 20 minutes; writes benchmarks/results/training.md
	$(BIN)/python -m benchmarks.training $(BENCH)

# Beside .venv's own torch and transformers: TextBrewer is pure Python.
.venv-bench-training/installed: benchmarks/training/requirements.lock
	$(INSTALL) --target .venv-bench-training -r benchmarks/training/requirements.lock
	touch $@

bench-memory: install  ## memory and CPU of corpus and records at 0.1 to 3 GB, 30 minutes; writes benchmarks/results/memory.md
	$(BIN)/python -m benchmarks.memory $(BENCH)

test: install-test lint unit  ## lint, all dry runs, unit, rule and workflow tests; 8 minutes on 2 cores; WORKERS=2

lint: install-test  ## ruff, mypy, snakefmt, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check .
	$(BIN)/snakemake --lint

unit: install-test
	OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=15

test-cases: install-test  ## text and checkpoints as people have them, a test for each kind; part of `make test`
	OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 $(BIN)/python -m pytest -q tests/cases

test-all: test test-exhaustive test-models test-tokenization test-resume  ## all tests there are

test-exhaustive: install-test  ## more variants of what `make test` shows once, and what takes long
	OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --durations=15 tests/exhaustive

tpu-check: .venv-tpu-check/installed  ## every kind of training step compiled by the real TPU compiler; writes docs/tpu-check.md
	.venv-tpu-check/bin/python -m benchmarks.tpu_check

.venv-tpu-check/installed: requirements.lock benchmarks/requirements-tpu-check.lock
	test -x .venv-tpu-check/bin/python || $(PYTHON) -m venv .venv-tpu-check
	.venv-tpu-check/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock -r benchmarks/requirements-tpu-check.lock
	touch $@

test-models: install-test  ## the published shapes at full size against the original code and transformers, in float64
	$(BIN)/python -m pytest -q -s --durations=10 tests/full_size

test-tokenization: install-test  ## every id of ../shared/data against Google's algorithm, sentencepiece and transformers
	MOBILEBERT_WHOLE_CORPUS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 3 tests/unit/tokenization/test_tokenization_corpus.py

test-resume: install-test  ## killed 20 times in every phase, the run ends with the bits of an unbroken one; some 10 minutes
	OMP_NUM_THREADS=2 $(BIN)/python -m pytest -q -s -x tests/resume

settings: install  ## write docs/settings.md and workflow/settings.schema.json from mobilebert/settings/
	$(BIN)/python -m workflow.document

lock:  ## resolve the lock files anew, with uv
	$(BIN)/pip install --quiet uv
	$(COMPILE) --extra cpu --output-file requirements.lock
	$(COMPILE) --extra gpu --output-file requirements-gpu.lock
	$(COMPILE) --extra tpu --output-file requirements-tpu.lock
	$(COMPILE) --extra cpu --extra batch --extra test --constraint requirements.lock --output-file requirements-all.tmp
	grep -vxFf requirements.lock requirements-all.tmp | grep -vE '^(nvidia|torch)' > requirements-test.lock
	rm requirements-all.tmp
	# tensorflow-text asks for tensorflow; tensorflow-cpu is the same module.
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		benchmarks/data/requirements.in | grep -v '^tensorflow==' > benchmarks/data/requirements.lock

clean:  ## remove what `make demo` made: its results, unfinished trainings and published models; other runs stay
	rm -rf results/demo state/demo published/mini
