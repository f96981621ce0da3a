# `make demo` and `make test` are all a newcomer needs; both set up what they use in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

# Each commit of a state file is synced to its disk, which tests do tens of thousands of times: with
# room for it their files are in memory. They are gone at the end, unless a test failed.
SHM := $(shell test "$$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $$4 }')" -gt 2000000 \
         2>/dev/null && echo /dev/shm)
# One worker more than cores, for some tests wait for other processes.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PYTEST = $(if $(SHM),TMPDIR=$(SHM)) $(BIN)/pytest --numprocesses $(WORKERS) \
         --dist loadfile --no-loadscope-reorder
# Without its bytecode each worker would compile every test, and each process that a test starts us.
unexport PYTHONDONTWRITEBYTECODE

PIP = $(BIN)/pip install --quiet --disable-pip-version-check
# A file of versions and hashes to install from, as CI does with .ci/requirements.txt.
REQUIREMENTS ?=

.PHONY: demo check test test-long fuzz mutants lint types format dashboards settings kubernetes requirements audit \
        pictures bench bench-fleet clean

$(STAMP): pyproject.toml $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "needs Python 3.11 or newer: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "needs Python's venv module: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(if $(REQUIREMENTS),$(PIP) --require-hashes -r $(REQUIREMENTS))
	$(PIP) $(if $(REQUIREMENTS),--no-deps --no-build-isolation -e .,-e '.[dev]')
	@touch $@

demo: $(STAMP)
	@exec $(BIN)/cdr-exporter demo $(if $(PORT),--web.listen-address 127.0.0.1:$(PORT)) \
	  $(if $(PROMETHEUS),--prometheus)

# What a developer runs after each change: an answer in under a minute on two cores.
check: lint types
	$(PYTEST) -m 'not e2e and not slow and not long'

test: $(STAMP)
	$(PYTEST) -m 'not long'

# Here Hypothesis draws other examples in each run; elsewhere it draws the same ones.
test-long: export HYPOTHESIS_PROFILE ?= random
test-long: $(STAMP)
	$(PYTEST) -m long

# Each target of tests/fuzz for so many seconds; what is found is in .fuzz/.
FUZZ_SECONDS ?= 900
fuzz: $(STAMP)
	$(PIP) -e '.[fuzz]'
	for target in answer request configuration; do \
	  $(BIN)/python -m tests.fuzz $$target -max_total_time=$(FUZZ_SECONDS) || exit 1; done

mutants: $(STAMP)
	$(BIN)/python -m tests.mutants

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Version and hashes of all that the image and CI install, on every Python: to be made where a
# dependency changed. They ask the package index that uv is set up for; none is written down.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
          --generate-hashes --custom-compile-command 'make requirements'
requirements: $(STAMP)
	$(PIP) -e '.[supply]'
	$(COMPILE) pyproject.toml --extra postgres --output-file deploy/requirements.txt
	$(COMPILE) deploy/requirements-build.in --output-file deploy/requirements-build.txt
	$(COMPILE) pyproject.toml --extra dev --output-file .ci/requirements.txt

audit: $(STAMP)
	$(PIP) -e '.[supply]'
	$(BIN)/python deploy/audit.py deploy/requirements.txt deploy/requirements-build.txt

# What exporter.yml and the docs say of each setting, from its declaration.
settings: $(STAMP)
	$(BIN)/python -m docs.write_settings

# The rules as objects for the Prometheus operator; EXTERNAL_URL is where the exporter is reached.
kubernetes: $(STAMP)
	$(BIN)/python -m deploy.kubernetes.write_rules $(EXTERNAL_URL)

pictures: $(STAMP)
	$(BIN)/python docs/take_pictures.py

dashboards: $(STAMP)
	$(BIN)/python -m grafana.generator

# The real process with a thousand PBXs, which takes minutes and wants the machine for itself.
bench-fleet: $(STAMP)
	$(BIN)/python -m benchmarks.fleet
	$(BIN)/python -m benchmarks.fleet --first-start --days 0
	$(BIN)/python -m benchmarks.fleet --by-sd

bench: $(STAMP)
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python -m benchmarks.state
	$(BIN)/python benchmarks/scrape.py
	$(BIN)/python -m benchmarks.tailers

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
