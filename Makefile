# Every target works in a fresh checkout; it needs make and Python 3.11 or newer.
# The rest goes into .venv.
# Another Python beside it: make test PYTHON=python3.13 VENV=.cache/venv-3.13

PYTHON ?= python3
PYTEST_ARGS ?=
# One more than there are cores: some tests wait while others compute.
WORKERS ?= $(shell echo $$(($$(nproc) + 1)))
BENCH_ARGS ?=
SEEDS ?= 2000
TIER ?= judge
DEMO_ARGS ?=

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MANIFESTS := $(wildcard deploy/kubernetes/*.yaml)

.DEFAULT_GOAL := help
.PHONY: help demo test test-matrix test-e2e test-browser campaign coverage tools lint format \
	bench dashboards docs lock clean python

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: $(READY) ## simulator and daemon together, with incidents (DEMO_ARGS=...)
	$(BIN)/tonwatch demo $(DEMO_ARGS)

# In parallel: the tests of one group, which share a costly fixture, go to one worker.
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup --no-loadscope-reorder

test: $(READY) ## all tests (PYTEST_ARGS=..., WORKERS=...)
	$(PYTEST) $(PYTEST_ARGS)

test-matrix: $(READY) ## only the fault matrix: each fault and its diagnosis
	$(PYTEST) tests/matrix $(PYTEST_ARGS)

test-e2e: $(READY) ## only tests with real Prometheus and Alertmanager
	$(PYTEST) tests/e2e tests/alerts $(PYTEST_ARGS)

test-browser: $(READY) ## the page in a real browser alone
	$(PYTEST) tests/serve/health/test_page_browser.py $(PYTEST_ARGS)

campaign: $(READY) ## random faults against an oracle (SEEDS=2000 or FIRST:END, TIER=judge|sockets)
	$(BIN)/python -m tests.campaign --tier $(TIER) --seeds $(SEEDS)

coverage: $(READY) ## all tests, and their coverage of tonwatch
	$(PYTEST) --cov --cov-report=term $(PYTEST_ARGS)

tools: ## install the programs that tests need: Debian or Ubuntu, as root
	tools/install-test-programs

lint: $(READY) ## ruff, mypy, import-linter, hadolint, kubernetes-validate
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint Dockerfile
	$(BIN)/kubernetes-validate --strict $(MANIFESTS)

format: $(READY) ## what ruff can fix by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY) ## latency, throughput, memory and start-up (BENCH_ARGS=...)
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

dashboards: $(READY) ## generate dashboards/*.json
	$(BIN)/python -m dashboards.build

docs: $(READY) ## generate docs/metrics.md and docs/faults.md
	$(BIN)/python -m tonwatch.serve.metrics > docs/metrics.md
	$(BIN)/python -m tests.matrix.report > docs/faults.md

# Keeps the pinned versions; `make lock UPGRADE=1` takes the newest ones that pyproject.toml allows.
UV_COMPILE = .cache/lock/bin/uv pip compile --quiet --universal --generate-hashes --no-header \
	--no-config --python-version 3.11 $(if $(UPGRADE),--upgrade)

lock: .cache/lock/bin/uv ## generate requirements/*.txt from pyproject.toml (UPGRADE=1)
	@mkdir -p requirements
	$(UV_COMPILE) -o requirements/runtime.txt pyproject.toml
	$(UV_COMPILE) -o requirements/build.txt --group pyproject.toml:build
	$(UV_COMPILE) -o requirements/dev.txt --group dev pyproject.toml \
		--constraint requirements/runtime.txt --constraint requirements/build.txt

clean: ## remove what the other targets created
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'tonwatch needs Python 3.11 or newer; "$(PYTHON)" is not.' >&2; \
		echo 'Name another one: make PYTHON=python3.12 ...' >&2; exit 1; }

# Rebuilt when a lock or pyproject.toml changes, so that nothing of an older lock is left.
# The build backend is in the lock too: no build fetches anything without a hash.
$(READY): pyproject.toml requirements/dev.txt | python
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@touch $@

.cache/lock/bin/uv: | python
	$(PYTHON) -m venv .cache/lock
	.cache/lock/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
