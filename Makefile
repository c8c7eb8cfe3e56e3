# Everything a person or a machine does here, one word each. `make` alone lists them.
#   make video PROMPT="a penguin waddles across the snow at night"
#   make test

PYTHON ?= python3
VENV ?= .venv
OUT ?= out
PROMPT ?= a red car drives through the desert at sunset

export PIP_DISABLE_PIP_VERSION_CHECK = 1
bin := $(VENV)/bin
pip := $(bin)/python -m pip install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install video test pytest lint format types layers evaluate bench assets clean

help: ## list these commands
	@grep -hE '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | awk -F ':.*## ' '{printf "make %-9s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## set up .venv with all that is needed to make videos

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "worldreel needs Python 3.11 or newer; this is %d.%d. Name another: make PYTHON=python3.12" % v[:2])'
	@echo "Setting up $(VENV): the first time this downloads torch and takes minutes."
	@test -x $(bin)/python || $(PYTHON) -m venv $(VENV)
	@$(pip) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@$(pip) --editable '.[dev,open,serve]'
	@# the official SDKs that the server is tried with beside the newest Python one
	@$(pip) --upgrade --target $(VENV)/openai-2.24 openai==2.24.0
	@! command -v npm >/dev/null || npm install --silent --no-audit --no-fund --prefix $(VENV)/npm openai@7.57.0
	@touch $@

export PROMPT
video: $(VENV)/.installed ## make a video: make video PROMPT="…" [SEED=7]; it goes to out/
	@mkdir -p $(OUT)
	@$(bin)/worldreel generate --folder $(OUT) $(if $(SEED),--seed $(SEED)) --contact-sheet -- "$$PROMPT"

test: lint types layers pytest ## every check: style, types, layers, tests

pytest: $(VENV)/.dev
	@OMP_NUM_THREADS=1 $(bin)/python -m pytest --numprocesses auto --dist loadfile

lint: $(VENV)/.dev ## style
	@$(bin)/ruff check --quiet .

format: $(VENV)/.dev ## lay out the code
	@$(bin)/ruff check --quiet --fix . ; $(bin)/ruff format --quiet .

types: $(VENV)/.dev ## mypy, strict
	@$(bin)/mypy

layers: $(VENV)/.dev ## imports go downward only
	@$(bin)/lint-imports --no-cache --no-logo

evaluate: $(VENV)/.installed ## the model's figures, in minutes
	@$(bin)/worldreel evaluate --quick

bench: $(VENV)/.installed ## speed of the renderer and of the model on this machine
	@for script in benchmarks/*.py; do echo "== $$script"; $(bin)/python "$$script" || exit 1; done

assets: $(VENV)/.installed ## pack the actors again from the four npm packages (700 MB)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	for i in 1 2 3 4; do npm pack --silent --pack-destination "$$folder" "@lobehub/fluent-emoji-anim-$$i@1.0.0" || exit 1; done && \
	$(bin)/python -m worldreel.world.pack "$$folder"

clean: ## remove .venv and caches (never videos or weights)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
