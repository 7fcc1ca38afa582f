# Every target makes the virtual environment it needs, and remakes it when the dependencies change.
PYTHON ?= python3
# Processes that share the tests.
TESTERS ?= 2
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := $(VENV)/.installed-bench

.PHONY: help demo test test-all check format bench docs

help:
	@echo "make check     formatting, lint and types, as continuous integration runs them"
	@echo "make test      the tests"
	@echo "make test-all  the tests, slow ones included"
	@echo "make bench     ratios to other engines, written to docs/benchmarks.md"
	@echo "make docs      a page about each family, with pictures: docs/families"
	@echo "make format    format the code and repair what the linter can"
	@echo "make demo      rank methods on the smoke suite: runs/smoke, about a minute"

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt -e ".[dev]"
	touch $@

$(PEERS): $(INSTALLED)
	$(BIN)/pip install -c constraints.txt -e ".[dev,bench]"
	touch $@

demo: $(INSTALLED)
	$(BIN)/goalscope run smoke

test: $(INSTALLED)
	$(BIN)/pytest -n $(TESTERS)

test-all: $(INSTALLED)
	$(BIN)/pytest -n $(TESTERS) -m ""

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(PEERS)
	$(BIN)/python -m tests.benchmarks.peers --out docs/benchmarks.md
	$(BIN)/pytest -m "" --benchmark-enable --benchmark-only tests/benchmarks

docs: $(INSTALLED)
	$(BIN)/goalscope docs
