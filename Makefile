# Commands for developers. `.ci/run` is the gate, and `noxfile.py` the matrix of versions.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The number of test processes, each with its own server; by default, tests/conftest.py derives it from processors and
# memory. With ROWSPACE_TEST_DATABASE_URL, the tests run in a single process.
WORKERS ?= $(if $(ROWSPACE_TEST_DATABASE_URL),0,logical)

# Show pip's output only if it fails. With --quiet, pip would not explain a conflict.
define install
$(BIN)/python -m pip install --progress-bar off --disable-pip-version-check --constraint constraints.txt $(1) \
    >$(VENV)/pip.log 2>&1 || { cat $(VENV)/pip.log >&2; exit 1; }
endef

.DEFAULT_GOAL := help
.PHONY: help demo test coverage lint types docs wheel check bench guard unasync pins clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo ## load and search Python's own documentation in an embedded PostgreSQL
	@$(BIN)/rowspace demo

test: $(VENV)/.dev ## run the tests; PYTEST_ADDOPTS passes options such as -k or -x; WORKERS=0 uses one process
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile

coverage: $(VENV)/.dev ## run the tests and list the lines that they do not reach; takes several times as long
	@$(BIN)/coverage run -m pytest
	@$(BIN)/coverage report

lint: $(VENV)/.dev ## check style, format, layers and generated files
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/unasync.py --check
	@$(BIN)/python tools/cli_help.py --check
	@$(BIN)/python tools/openapi.py --check

types: $(VENV)/.dev ## check the types with mypy
	@$(BIN)/mypy

docs: $(VENV)/.dev ## build the documentation into docs/_build
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky docs docs/_build
	@echo "docs/_build/index.html"

wheel: $(VENV)/.dev ## build the sdist and the wheel, and test the wheel in an empty environment
	@$(BIN)/python tools/smoke_wheel.py

check: test lint types docs wheel ## run test, lint, types, docs and wheel

bench: $(VENV)/.dev ## run the benchmarks, then compare with the peers, each in its own environment
	@$(BIN)/python -m benchmarks || test $$? = 1 # 1 means that a target was missed, which it reports
	@$(BIN)/python -m benchmarks.peers

guard: $(VENV)/.dev ## compare a few benchmark ratios with the recorded ones
	@$(BIN)/python -m benchmarks.guard

unasync: $(VENV)/.dev ## generate the sync twins
	@$(BIN)/python tools/unasync.py

pins: ## update constraints.txt; PYTHON must be the oldest supported version
	@PYTHON=$(PYTHON) tools/pins.sh

clean: ## delete .venv and everything built
	@rm -rf $(VENV) dist docs/_build htmlcov .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis .nox \
	    .import_linter_cache .peers .schemathesis

# One environment for both: .dev includes .demo.
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/.pip
	@echo "Installing the demo into $(VENV), once ..."
	@$(call install,--editable '.[demo]')
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/.pip
	@echo "Installing the development environment into $(VENV), once ..."
	@$(call install,--editable '.[all]' --group dev)
	@touch $@ $(VENV)/.demo

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Rowspace needs Python 3.11 or newer; $(PYTHON) is not. Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(call install,--upgrade pip) # --group needs 25.1
	@touch $@
