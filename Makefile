# What one can do here; `make` alone explains. Needs Python 3.11 to 3.13 with venv, and nothing else.

.DEFAULT_GOAL := help
.PHONY: help install run demo test soak proof bench lock openapi format

FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3 python; do \
	$$each -c '$(FITS)' 2>/dev/null && command -v $$each && break; done)
# Servers that tests start would compile the whole program each time.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
STAMP := .venv/installed
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url pyproject.toml

help: ## Explain the commands
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv and install what is locked (quick when nothing changed)

$(STAMP): requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed; name one: make PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Making .venv with $(PYTHON)"; "$(PYTHON)" -m venv .venv; }
	@echo "Installing what requirements-dev.txt locks (a minute or two the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: install ## Serve on http://127.0.0.1:8000 with a demonstration network; Ctrl-C stops it
	@$(BIN)/handoff serve --demo

demo: install ## Play one referral, from the hospital to the partner and back
	@$(BIN)/handoff demo

test: install ## Run every check in its short form: format, lint, types, import contracts, tests, OpenAPI drift
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist worksteal -m "not soak" --hypothesis-seed=0
	$(BIN)/python -m scripts.export_openapi --check

soak: install ## Run the long forms of the tests, the failed ones first; run again, it goes on where it stopped
	$(BIN)/pytest -m soak --stepwise

proof: install ## Prove delivery and polling anew, and write the results into docs/reliability.md; needs libfaketime
	$(BIN)/python -m scripts.prove_delivery $(if $(SEEDS),--seeds $(SEEDS))

bench: install ## Measure; FULL=1 with 1,000,000 Tasks
	$(BIN)/python -m bench $(if $(FULL),--full)
	$(if $(FULL),$(BIN)/python -m bench.million)

lock: install ## Resolve the dependencies of pyproject.toml anew, for Python 3.11 to 3.13
	$(LOCK) --output-file requirements.txt
	$(LOCK) --extra build --extra dev --output-file requirements-dev.txt

openapi: install ## Write openapi/ anew
	$(BIN)/python -m scripts.export_openapi

format: install ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
