# nabot: every command that a person or CI needs. `make demo` and `make test` set everything up by themselves.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
# TORCH=cpu takes torch from PyTorch's own index of CPU builds, where a plain install would bring gigabytes of CUDA.
ifeq ($(TORCH),cpu)
TORCH_INDEX := --index-url https://download.pytorch.org/whl/cpu
endif

.PHONY: setup demo demo-ko test test-slow check fix bench docs size clean

setup: $(VENV)/.core

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) $(TORCH_INDEX) torch
	$(PIP) --editable '.[files,synth,doctor]'
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) --editable '.[dev]'
	touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) --editable '.[dev,bench]'
	touch $@

demo: $(VENV)/.core
	$(BIN)/nabot demo

# Its model has terms of use, which nabot asks about once; nothing here accepts them for anybody.
demo-ko: $(VENV)/.core
	NABOT_LANG=ko $(BIN)/nabot demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest

test-slow: $(VENV)/.bench
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.dev
	$(BIN)/ruff format --check nabot tests benchmarks docs
	$(BIN)/ruff check nabot tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/.dev
	$(BIN)/ruff format nabot tests benchmarks docs
	$(BIN)/ruff check --fix nabot tests benchmarks docs

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/tune_cpu.py

docs: $(VENV)/.dev
	$(BIN)/python docs/build_help.py

size:
	@find nabot -name '*.py' | xargs wc -l | sort -n | tail -30

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
