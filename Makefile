# `make` lists the targets. `make run` and `make test` are all a newcomer needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DATA ?=
WORK ?= .train
MODEL ?= 0.0.0
# BASE: a ModernBERT (folder or hub name) or a predictor's folder to start from, instead of distilling
BASE ?=
TARGET ?= $(WORK)/model
DISTILL_MINUTES ?= 40
TRAIN_MINUTES ?= 80

.DEFAULT_GOAL := help
.PHONY: help run test check lint types fix docs cov bench bench-predictor screenshots train demo image clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ /' | awk '{name = $$1; $$1 = ""; printf "  make %-17s%s\n", name, $$0}'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is missing (on Debian: apt-get install python3-venv)"; exit 1; }
	@echo "setting up $(VENV) (once, about two minutes)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.run

$(VENV)/.train: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(PIP) -e '.[dev,train]'
	@touch $@

run: $(VENV)/.run ## the gateway on http://127.0.0.1:4000, with whatever keys are set (none: a demo)
	@$(BIN)/hydra-gateway serve

demo: $(VENV)/.run ## the gateway on the demo upstream, whatever keys are set
	@$(BIN)/hydra-gateway demo

test: $(VENV)/.dev ## all tests, a file at a time on each core
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

check: lint types test ## everything CI checks

lint: $(VENV)/.dev ## ruff, the generated parts of docs/, the version in the changelog
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/cog --check docs/*.md
	@grep -q "^## $$($(BIN)/python -c 'import gateway; print(gateway.__version__)')\b" CHANGELOG.md || { echo "CHANGELOG.md has no section for the version in gateway/__init__.py"; exit 1; }

types: $(VENV)/.dev ## mypy --strict on gateway and predictor
	@$(BIN)/mypy

fix: $(VENV)/.dev ## format, and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/.dev ## write the generated parts of docs/ and README
	@$(BIN)/cog -r README.md docs/*.md

cov: $(VENV)/.dev ## branch coverage
	@$(BIN)/coverage run -m pytest -q && $(BIN)/coverage report --skip-covered --show-missing

bench: $(VENV)/.dev ## the benchmarks in bench/ that need no data; the last line of each is JSON
	@for script in bench/gateway_overhead.py bench/predictor_speed.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

bench-predictor: $(VENV)/.dev ## time and memory of a prediction, beside ModernBERT-base (that takes the train extra)
	@$(BIN)/python bench/predictor_speed.py

screenshots: $(VENV)/.dev ## every view of the dashboard into docs/screenshots/, with a Chromium that is installed
	@$(BIN)/python tests/screenshots.py docs/screenshots

train: $(VENV)/.train ## train the predictor anew, about 2 hours: make train DATA=folder (with prompts/ and outcomes/train/)
	@test -d "$(DATA)/prompts" || { echo "say where the data is: make train DATA=folder (formats in predictor/README.md)"; exit 1; }
	$(if $(BASE),,$(BIN)/python -m predictor.distill --prompts $(DATA)/prompts --work $(WORK) --minutes $(DISTILL_MINUTES))
	$(BIN)/python -m predictor.train --prompts $(DATA)/prompts --outcomes $(DATA)/outcomes/train --work $(WORK) --minutes $(TRAIN_MINUTES) $(if $(BASE),--base $(BASE))
	$(BIN)/python -m predictor.export --prompts $(DATA)/prompts --outcomes $(DATA)/outcomes/train --work $(WORK) --target $(TARGET) --version $(MODEL)
	$(BIN)/python -m predictor.reference --outcomes $(DATA)/outcomes/train --work $(WORK) --model $(TARGET)
	$(BIN)/python -m predictor.evaluate --prompts $(DATA)/prompts --outcomes $(DATA)/outcomes/train --model $(TARGET)

image: ## the container image
	docker build --tag hydra-gateway .

clean: ## what the targets above made, except data
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .coverage dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
