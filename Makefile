# Two commands are all a newcomer needs:
#   make demo    the Bookinfo sample as a mesh on this machine (ARGS=--check runs every scenario once)
#   make test    all tests

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; exit; }; done)
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install
ARGS   ?=

.PHONY: demo test lint types stubs format bench bench-full lock docs clean help
.DEFAULT_GOAL := help

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

demo: $(VENV)/run.stamp ## Run the Bookinfo sample as a mesh (ARGS=--check: every scenario once)
	@$(BIN)/rhumb demo $(ARGS)

test: $(VENV)/dev.stamp ## Run all tests
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/dev.stamp types ## Run linters, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/codespell src tests docs samples README.md CONTRIBUTING.md CHANGELOG.md
	$(BIN)/python tools/file_length.py

types: $(VENV)/dev.stamp build/typings.stamp ## Run the strict type checker
	$(BIN)/mypy

stubs: build/typings.stamp ## Make typed stubs for Envoy's protobufs

format: $(VENV)/dev.stamp ## Format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/dev.stamp ## Run the benchmarks (ratios to a peer measured in the same run)
	@$(BIN)/python -m benchmarks --quick $(ARGS)

bench-full: $(VENV)/dev.stamp ## Run the benchmarks at full length
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/dev.stamp ## Regenerate the pages that are made from code
	$(BIN)/python tools/reference.py
	$(BIN)/python tools/compatibility.py

lock: ## Resolve the lock files anew (needs uv)
	@command -v uv >/dev/null || { echo "error: uv is not installed; hint: pip install uv" >&2; exit 1; }
	$(PYTHON) tools/lock.py

clean: ## Remove what the build made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; hint: install one, or call make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "hint: $(PYTHON) has no venv module; on Debian it is in the package python3-venv" >&2; exit 1; }

# dev.lock is a superset of run.lock with the same versions, so either order of targets agrees.
$(VENV)/run.stamp: requirements/run.lock pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) (once) ..."
	@$(PIP) --require-hashes -r requirements/run.lock
	@$(PIP) --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/run.stamp
	@$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@

build/typings.stamp: tools/envoy_stubs.py requirements/dev.lock $(VENV)/dev.stamp
	@$(BIN)/python tools/envoy_stubs.py build/typings
	@touch $@
