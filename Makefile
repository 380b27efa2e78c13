# `make demo` and `make test` need Python >= 3.10, git and make; everything else is brought into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Behind a company's proxy, its certificate authority is in the system's store and not in uv's own.
export UV_SYSTEM_CERTS ?= 1

.PHONY: demo demo-once test test-fast test-nightly check lint types lock clean

demo: $(STAMP)
	$(BIN)/da-agent-hub demo

demo-once: $(STAMP)
	$(BIN)/da-agent-hub demo --once

# A file's tests stay together, and so do folders that share a world which is costly to make: see conftest.py.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup

test: $(STAMP)
	$(PYTEST)

test-fast: $(STAMP)
	$(PYTEST) -m "not slow and not nightly"

# The slow checks of the tests themselves, and the properties on examples that nobody has seen.
test-nightly: $(STAMP)
	$(PYTEST) -m nightly
	DA_AGENT_HUB_EXAMPLES=new $(BIN)/python -m pytest -n auto --maxprocesses 4 da_agent_hub_tests/domain

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

types: $(STAMP)
	$(BIN)/mypy

check: lint types test

lock: $(STAMP)
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --extra duckdb --extra postgres --extra s3 --group dev --python-version 3.10 -q -o requirements.lock pyproject.toml

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python >= 3.10 is needed, %s is %s: call make PYTHON=/path/to/python3.x" % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 10) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install -q uv
	$(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	touch $(STAMP)

clean:
	rm -rf $(VENV) .hub
