# The targets, by name: make help
#
# Variables: PYTHON (3.11 or newer; found when not given), VENV (the environment; an existing one keeps its torch),
# TORCH (what pip installs as torch, see tools/install.sh), PYTEST (arguments for pytest), SUBJECT (scenes or rooms: what
# training draws), RECIPE (arguments for training; the cards say which were used).

VENV ?= .venv
PYTHON ?=
TORCH ?=
PYTEST ?= -n auto --maxprocesses=8 --dist loadfile
SUBJECT ?= scenes
RECIPE ?=

BIN := $(VENV)/bin
INSTALL := PYTHON="$(PYTHON)" TORCH="$(TORCH)" sh tools/install.sh "$(VENV)"

.DEFAULT_GOAL := help
.PHONY: help demo test check format format-check lint lint-web format-web types demo-check bench train-generator train-in-stages train-segmenter clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name does; do \
		printf '  make %-16s %s\n' "$$name" "$$does"; done

demo: $(VENV)/.ready  ## set up, dissect the embedded generator and say where the site is
	$(BIN)/dissectreport build scenes_pgan

test: $(VENV)/.ready-dev  ## set up what the tests need, and pass them
	$(BIN)/python -m pytest $(PYTEST)

check: format-check lint types test  ## format, lint, types and tests: what every change passes

format: $(VENV)/.ready-dev  ## write all Python files in the house format
	$(BIN)/ruff format .

format-check: $(VENV)/.ready-dev
	$(BIN)/ruff format --check .

lint: $(VENV)/.ready-dev  ## ruff
	$(BIN)/ruff check .

lint-web: $(VENV)/.ready-dev  ## scripts (oxlint, oxfmt) and templates (djlint): linted, and formatted as the tools would
	sh tools/web.sh check $(BIN)

format-web: $(VENV)/.ready-dev  ## write all scripts and templates in the house format
	sh tools/web.sh format $(BIN)

types: $(VENV)/.ready-dev  ## mypy --strict
	$(BIN)/mypy

demo-check: $(VENV)/.ready-dev  ## only the tests that build a whole site, end to end (VNU_JAR=vnu.jar validates its pages too)
	$(BIN)/python -m pytest -m demo

bench: $(VENV)/.ready-dev  ## time the slow parts, one line each
	for file in benchmarks/*.py; do $(BIN)/python "$$file" || exit 1; done

train-generator: $(VENV)/.ready  ## train the embedded generator of SUBJECT (hours), and keep its weights
	$(BIN)/python -m dissectreport.training.generator train --out training/$(SUBJECT)_pgan --subject $(SUBJECT) $(RECIPE)
	$(BIN)/python -m dissectreport.training.generator export --out training/$(SUBJECT)_pgan \
		--weights dissectreport/models/weights/$(SUBJECT)_pgan.safetensors

train-in-stages: $(VENV)/.ready  ## train a generator of churches in stages (a day or more), and export its weights
	$(BIN)/python -m dissectreport.training.staged train --out training/churches_pgan $(RECIPE)
	$(BIN)/python -m dissectreport.training.staged export --out training/churches_pgan \
		--weights training/churches_pgan/churches_pgan.safetensors

train-segmenter: $(VENV)/.ready  ## train the embedded segmenter of SUBJECT (an hour), and keep its weights
	$(BIN)/python -m dissectreport.training.segmenter train --out training/$(SUBJECT) --subject $(SUBJECT) $(RECIPE)
	$(BIN)/python -m dissectreport.training.segmenter export --out training/$(SUBJECT) \
		--weights dissectreport/segmenters/weights/$(SUBJECT).safetensors

clean:  ## remove the environment and what tools left behind
	rm -rf "$(VENV)" .mypy_cache .pytest_cache .ruff_cache .hypothesis dist

$(VENV)/.ready: pyproject.toml tools/install.sh
	@$(INSTALL)

$(VENV)/.ready-dev: $(VENV)/.ready
	@$(INSTALL) dev
