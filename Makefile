# Every target starts by itself: what it needs is made first, and made again only when it changed.
# ARGS goes to the program behind the target: make test ARGS="tests/unit -k breaker"

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# Found by starting it: a shim may be on PATH and only say that the version is not installed.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$name; break; }; done)
BOOTSTRAP = @python='$(PYTHON)'; if [ -z "$$python" ]; then \
	echo 'make: Python 3.11 or later is not on PATH: apt-get install python3 python3-venv,' \
	'or make PYTHON=/path/to/python' >&2; exit 2; fi; $$python tools/bootstrap.py

# The code there is: some of these folders come later.
CODE := $(wildcard src tests tools examples apps bench docs/conf.py)
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header $(ARGS)
ARGS ?=

.PHONY: help
help: ## Lists every target with its sentence.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  ARGS="..." is handed on; PYTHON=... picks the interpreter (3.11 or later).'

.PHONY: run
run: .run ## Starts the quickstart: a service, its dependencies, the dashboard; Ctrl-C stops it.
	@$(BIN)/seawall up examples/quickstart/seawall.toml $(ARGS)

.PHONY: test
test: .dev ## Runs every test: side by side, then those that measure real time alone; ARGS narrows them.
	@run() { $(BIN)/python -m pytest -q "$$@" $(ARGS) || [ $$? -eq 5 ]; }; run -n 2 -m 'not alone' && run -m alone

.PHONY: stateful
stateful: .dev ## Runs the models of the machines for long, with new chance each time.
	@$(BIN)/python -m pytest -q -n 2 tests/stateful --hypothesis-profile=long --timeout=3600 $(ARGS)

.PHONY: mutants
mutants: .dev ## Changes the machines one place at a time and counts the changes that no test notices (mutmut).
	@rm -rf mutants
	@$(BIN)/mutmut run $(ARGS)
	@$(BIN)/python tools/mutation_score.py

.PHONY: check
check: fmt lint types arch ## Runs every check that CI runs besides the tests.

.PHONY: fmt
fmt: .dev ## Checks the format; `make fmt-fix` writes it.
	@$(BIN)/ruff format --quiet --check $(CODE) || { echo 'fmt: run `make fmt-fix`' >&2; exit 1; }
	@echo 'fmt: fine'

.PHONY: fmt-fix
fmt-fix: .dev ## Formats the code and applies the linter's safe corrections.
	@$(BIN)/ruff check --quiet --fix-only --unsafe-fixes --select TC $(CODE)
	@$(BIN)/ruff check --quiet --fix-only $(CODE)
	@$(BIN)/ruff format --quiet $(CODE)

.PHONY: lint
lint: .dev ## Checks the rules of style, banned clocks and randomness among them (ruff).
	@$(BIN)/ruff check --quiet --output-format=concise $(CODE)
	@echo 'lint: fine'

.PHONY: types
types: .dev ## Checks the types: mypy strict over all, pyright over the public names.
	@$(BIN)/mypy --no-error-summary $(CODE)
	@said=$$($(BIN)/pyright --warnings) || { echo "$$said"; exit 1; }
	@echo 'types: fine'

.PHONY: arch
arch: .dev ## Checks layers, module sizes and the rest of tests/architecture.
	@said=$$($(BIN)/lint-imports --no-logo --no-cache) || { echo "$$said"; exit 1; }
	@$(BIN)/python tools/check_sizes.py
	@$(BIN)/python -m pytest -q -n 2 tests/architecture
	@echo 'arch: fine'

.PHONY: api
api: .dev ## Accepts the public names as they are: tests/architecture/public_api.txt.
	@$(BIN)/python tools/public_api.py --write

.PHONY: docs
docs: .dev ## Builds the documentation into docs/_build/html; a warning is an error.
	@$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html $(ARGS)
	@echo 'docs: docs/_build/html/index.html'

.PHONY: bench
bench: .dev ## Measures the call path against its targets; ARGS=--help shows what can be asked.
	@$(BIN)/python -m bench $(ARGS)

.PHONY: peers
peers: .dev ## Writes bench/peers.txt anew: the locked libraries that the bench compares with.
	@$(LOCK) -o bench/peers.txt bench/peers.in

.PHONY: lock
lock: .dev ## Writes requirements/*.txt anew; ARGS=--upgrade takes newer versions.
	@$(LOCK) -o requirements/run.txt requirements/run.in
	@$(LOCK) -o requirements/dev.txt requirements/dev.in

.PHONY: clean
clean: ## Removes what was built, .venv included.
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@rm -rf build dist htmlcov docs/_build artifacts mutants .coverage .coverage.*
	@find . -name __pycache__ -type d -not -path './web/*' -prune -exec rm -rf {} +

.PHONY: .run
.run:
	$(BOOTSTRAP) run

.PHONY: .dev
.dev:
	$(BOOTSTRAP) dev
