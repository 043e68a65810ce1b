# `make` alone lists what there is. Every target works in a fresh clone, with only Python 3.11+ there.

VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
PYTHON  ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
             command -v $$p >/dev/null 2>&1 && { echo $$p; break; }; done)
SECONDS ?= 60
SEEDS   ?= 300
ARGS    ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_MKDOCS_2_WARNING := 1
# Where this is set, each of the many processes of the tests compiles every package anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench fuzz faults fmt lock clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

install: $(STAMP) ## Make .venv with the locked packages and the command `relo`

$(STAMP): constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python found: install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is too old: Python 3.11 or newer is needed (make PYTHON=... install)" >&2; exit 1; }
	@echo "Installing into $(VENV) with $(PYTHON); the first time takes a minute or two."
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
	  echo "$(PYTHON) has no venv: on Debian, apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --no-input --no-compile \
	  --no-deps --require-hashes --only-binary :all: -r constraints.txt
	@$(BIN)/python -m pip install --quiet --no-input --no-deps --no-build-isolation --editable .
	@touch $@

demo: install ## Load a retailer's real data, build the audiences, show them
	@$(BIN)/relo demo $(ARGS)

test: install ## Run the tests, three at a time
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: install ## Lint, types, import rules, layout and tests of the definitions, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/relo fmt --check segments
	$(BIN)/relo test segments
	$(BIN)/mkdocs build --strict --quiet

bench: install ## Measure against hand-written queries and bare tools
	@$(BIN)/python -m benchmarks all $(ARGS)

fuzz: install ## Compare SQL with the evaluator on random cases: make fuzz SECONDS=600
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

faults: install ## Kill what publishes and what takes events in, at random: make faults SEEDS=300
	@FAULT_SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/faults $(ARGS)

fmt: install ## Put code and definitions into their canonical layout
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(BIN)/relo fmt segments

lock: install ## Resolve the dependencies again and rewrite constraints.txt
	@$(BIN)/python -m venv $(VENV)/lock
	@$(VENV)/lock/bin/pip install --quiet --no-input uv
	@# python-geoacumen, which is a file of data, wants a maxminddb that has no wheels
	@echo 'maxminddb>=3' > $(VENV)/lock/overrides.txt
	@{ sed '/^#/!q' constraints.txt | grep '^#'; \
	   $(VENV)/lock/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	     --overrides $(VENV)/lock/overrides.txt --upgrade --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet; \
	 } > $(VENV)/lock/constraints.txt
	@mv $(VENV)/lock/constraints.txt constraints.txt
	@git diff --stat -- constraints.txt

clean: ## Remove what the targets made, .venv included
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache site dist
