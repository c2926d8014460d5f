# The targets by name: make help
#
# Variables:
#   PYTHON   the interpreter to start from, 3.11 or newer; the first one on the path when not given
#   VENV     the environment; one that exists keeps its torch
#   TORCH    what pip installs as torch; see tools/install.sh
#   PYTEST   arguments for pytest
#   SUBJECT  what training draws: scenes or rooms
#   RECIPE   arguments for training; the cards beside the weights say which were used
#   RUN      what a training in stages is called
#   CASES    random inputs for each reader in make fuzz

VENV ?= .venv
PYTHON ?=
TORCH ?=
PYTEST ?= -n auto --maxprocesses=8 --dist loadfile --durations=20
SUBJECT ?= scenes
RECIPE ?=
RUN ?= churches_pgan
CASES ?= 5000

BIN := $(VENV)/bin
INSTALL := PYTHON="$(PYTHON)" TORCH="$(TORCH)" sh tools/install.sh "$(VENV)"

# Checks run beside each other, and the tests beside the slowest of them.
MAKEFLAGS += -j2

# What is compiled is kept: tests start many processes, and each would compile the package again.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help demo test tests test-extended check format coverage mutants fuzz test-quick test-demo real-networks findings lint lint-web format-web types bench train-generator \
	train-in-stages train-segmenter train-classifier clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name does; do \
		printf '  make %-16s %s\n' "$$name" "$$does"; done

demo: $(VENV)/.ready  ## install the program, dissect the embedded generator, and print where the site is
	$(BIN)/dissectreport build scenes_pgan

test: check tests  ## everything that a change must pass, as CI runs it: make check, and the tests beside it

tests: $(VENV)/.ready-dev  ## the tests of make test, without its checks
	$(BIN)/python -m pytest $(PYTEST)

test-extended: $(VENV)/.ready-dev  ## further families, widths and kills, which make test leaves out (nightly on GitHub)
	$(BIN)/python -m pytest $(PYTEST) -m extended

check: lint lint-web types  ## without running tests: format, lint, types, scripts and templates

format: $(VENV)/.ready-dev format-web  ## format all Python files, scripts and templates
	$(BIN)/ruff format .

coverage: $(VENV)/.ready-dev  ## run all tests, those of make test-extended too, and report branch coverage; fails below 90% for the whole package
	rm -f .coverage .coverage.*
	COVERAGE_FILE="$(CURDIR)/.coverage" $(BIN)/python -m coverage run -m pytest $(PYTEST) -m "not demo and not network"
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python tools/coverage_report.py

mutants: $(VENV)/.ready-dev  ## mutation testing of the statistics and the counting (an hour; by hand, not in CI)
	$(BIN)/python tools/mutants.py

fuzz: $(VENV)/.ready-dev  ## try every reader of input with random content, 5,000 cases each (hours; not in CI)
	DISSECTREPORT_FUZZ=$(CASES) $(BIN)/python -m pytest $(PYTEST) tests/test_fuzz*.py

test-quick: $(VENV)/.ready-dev  ## the tests that are neither slow nor need a browser
	$(BIN)/python -m pytest $(PYTEST) -m "not slow and not browser and not demo and not network and not extended"

test-demo: $(VENV)/.ready-dev  ## build a whole site, download real networks, and check them (VNU_JAR=vnu.jar validates its pages too)
	$(BIN)/python -m pytest -m "demo or network"

real-networks: $(VENV)/.ready-dev  ## build the real networks of docs/real-networks.md, and write that page (downloads them)
	$(BIN)/python tools/real_networks.py --build

findings: $(VENV)/.ready-dev  ## build the embedded models that site/ lacks, and write what was found into docs
	$(BIN)/python tools/findings.py --build
	$(BIN)/python tools/classifier_findings.py --build

lint: $(VENV)/.ready-dev  ## Python: format and lint, by ruff
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

lint-web: $(VENV)/.ready-dev  ## scripts (oxlint, oxfmt) and templates (djlint): format and lint
	sh tools/web.sh check $(BIN)

format-web: $(VENV)/.ready-dev  ## format scripts and templates
	sh tools/web.sh format $(BIN)

types: $(VENV)/.ready-dev  ## Python: types, by mypy
	$(BIN)/mypy

bench: $(VENV)/.ready-dev  ## measure time and memory of the slow parts (see benchmarks/README.md)
	for file in benchmarks/*.py; do $(BIN)/python "$$file" || exit 1; done

train-generator: $(VENV)/.ready  ## train the embedded generator of SUBJECT (hours) and save its weights
	$(BIN)/python -m dissectreport.training.generator train --out training/$(SUBJECT)_pgan --subject $(SUBJECT) $(RECIPE)
	$(BIN)/python -m dissectreport.training.generator export --out training/$(SUBJECT)_pgan \
		--weights dissectreport/models/weights/$(SUBJECT)_pgan.safetensors

train-in-stages: $(VENV)/.ready  ## train a generator RUN of churches in stages (a day or more), and export its weights
	$(BIN)/python -m dissectreport.training.staged train --out training/$(RUN) $(RECIPE)
	$(BIN)/python -m dissectreport.training.staged export --out training/$(RUN) \
		--weights training/$(RUN)/$(RUN).safetensors

train-segmenter: $(VENV)/.ready  ## train the embedded segmenter of SUBJECT (an hour) and save its weights
	$(BIN)/python -m dissectreport.training.segmenter train --out training/$(SUBJECT) --subject $(SUBJECT) $(RECIPE)
	$(BIN)/python -m dissectreport.training.segmenter export --out training/$(SUBJECT) \
		--weights dissectreport/segmenters/weights/$(SUBJECT).safetensors

train-classifier: $(VENV)/.ready  ## train the embedded classifier of scenes (some minutes) and save its weights
	$(BIN)/python -m dissectreport.training.classifier --out training/classifier --weights dissectreport/models/weights

clean:  ## remove the environment and the caches of tools
	rm -rf "$(VENV)" .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis dist mutants

$(VENV)/.ready: pyproject.toml tools/install.sh
	@$(INSTALL)

$(VENV)/.ready-dev: $(VENV)/.ready
	@$(INSTALL) dev
