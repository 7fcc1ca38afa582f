# Every target makes the virtual environment it needs, and remakes it when the dependencies change.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo test test-all check format bench

help:
	@echo "make check     formatting, lint and types, as continuous integration runs them"
	@echo "make test      the tests"
	@echo "make test-all  the tests, slow ones included"
	@echo "make bench     the speed measurements"
	@echo "make format    format the code and repair what the linter can"
	@echo "make demo      draw sixteen levels into levels.png"

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt -e ".[dev]"
	touch $@

demo: $(INSTALLED)
	$(BIN)/goalscope levels coin_corner --shift train --grid 4x4 --out levels.png

test: $(INSTALLED)
	$(BIN)/pytest

test-all: $(INSTALLED)
	$(BIN)/pytest -m ""

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED)
	$(BIN)/pytest -m "" --benchmark-enable --benchmark-only tests/benchmarks
