# For people; .ci/run and noxfile.py are for machines.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes that run tests, each on a server of its own: tests/conftest.py counts processors and memory. One where a
# database is given.
WORKERS ?= $(if $(ROWSPACE_TEST_DATABASE_URL),0,logical)

# pip's talk is of interest when it fails; --quiet would keep the reason of a conflict to itself.
define install
$(BIN)/python -m pip install --progress-bar off --disable-pip-version-check --constraint constraints.txt $(1) \
    >$(VENV)/pip.log 2>&1 || { cat $(VENV)/pip.log >&2; exit 1; }
endef

.DEFAULT_GOAL := help
.PHONY: help demo test coverage lint types docs wheel check bench guard unasync pins clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo ## search Python's own documentation, on a database that it starts itself
	@$(BIN)/rowspace demo

test: $(VENV)/.dev ## run the tests; PYTEST_ADDOPTS takes options, for example -k or -x; WORKERS=0 is one process
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile

coverage: $(VENV)/.dev ## run the tests and tell which lines they do not reach; takes several times as long
	@$(BIN)/coverage run -m pytest
	@$(BIN)/coverage report

lint: $(VENV)/.dev ## check style, format, layers and what is generated
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/unasync.py --check
	@$(BIN)/python tools/cli_help.py --check
	@$(BIN)/python tools/openapi.py --check

types: $(VENV)/.dev ## check the types
	@$(BIN)/mypy

docs: $(VENV)/.dev ## build the documentation into docs/_build
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky docs docs/_build
	@echo "docs/_build/index.html"

wheel: $(VENV)/.dev ## build sdist and wheel and try the wheel in an empty environment
	@$(BIN)/python tools/smoke_wheel.py

check: test lint types docs wheel ## all of the above but the demo

bench: $(VENV)/.dev ## run the benchmarks, then the same tasks by the peers, each in an environment of its own
	@$(BIN)/python -m benchmarks || test $$? = 1 # a target was missed: it says so
	@$(BIN)/python -m benchmarks.peers

guard: $(VENV)/.dev ## compare a few ratios of the benchmarks with those on record
	@$(BIN)/python -m benchmarks.guard

unasync: $(VENV)/.dev ## write the sync twins anew
	@$(BIN)/python tools/unasync.py

pins: ## renew constraints.txt; PYTHON must be the oldest that is supported
	@PYTHON=$(PYTHON) tools/pins.sh

clean: ## delete .venv and everything built
	@rm -rf $(VENV) dist docs/_build htmlcov .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis .nox \
	    .import_linter_cache .peers .schemathesis

# One environment for both: .dev holds all that .demo holds.
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/.pip
	@echo "Installing what the demo needs into $(VENV), once ..."
	@$(call install,--editable '.[demo]')
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/.pip
	@echo "Installing what development needs into $(VENV), once ..."
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
