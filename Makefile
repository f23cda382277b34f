# Each target alone creates the environment that it needs, in .venv.
#
#   PYTHON      the interpreter to create it with:   make test PYTHON=python3.12
#   TORCH_ARGS  pip arguments for torch alone, such as the --index-url of CPU-only wheels

PYTHON ?= python3
TORCH_ARGS ?=
DEMO_ARGS ?= TextNER-v0 --out runs/demo --clone-episodes 300 --clone-epochs 16 --total-timesteps 120000 --validate-every 10
BENCH_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PINNED := .venv-pinned
OLDEST := .venv-oldest
# Each worker has one core, and torch's own threads would only compete for it.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-pinned test-oldest test-slow tutorial smoke lint types format bench report pages docs build clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## train an agent, print its test scores, save curve and checkpoint
	$(BIN)/textenvs train ppo $(DEMO_ARGS)

test: lint types ## lint, types, then all tests and doctests but the slow ones
	$(PYTEST) -n 2 --hypothesis-seed=0

test-pinned: $(PINNED)/.installed ## the tests of libraries that pin older versions: RLlib, Tianshou
	RAY_USAGE_STATS_ENABLED=0 OMP_NUM_THREADS=1 $(PINNED)/bin/python -m pytest \
	    --hypothesis-seed=0 tests/third_party/pinned

test-oldest: $(OLDEST)/.installed ## environments and agents with the oldest Gymnasium
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -n 2 --hypothesis-seed=0 tests/envs \
	    tests/check tests/wrappers tests/agents/test_rollout.py tests/agents/test_evaluation.py \
	    tests/agents/test_a2c.py tests/agents/test_network.py

test-slow: $(INSTALLED) ## the tests that take minutes
	$(PYTEST) -m slow --hypothesis-seed=0

tutorial: $(INSTALLED) ## run every command of docs/tutorial.md
	$(PYTEST) -m slow tests/test_tutorial.py

smoke: $(INSTALLED) ## a little of every training of the learning benchmark, to see that it runs
	rm -rf runs/smoke
	$(BIN)/python -m benchmarks.learning --suite smoke --out runs/smoke

lint: $(INSTALLED) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED) ## mypy, strict
	$(BIN)/mypy

format: $(INSTALLED) ## rewrite the code in ruff's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED) ## measure the speed of environments and agents
	$(BIN)/python -m benchmarks.throughput $(BENCH_ARGS)

report: $(INSTALLED) ## figures, tables and a page of the committed results, in docs/report/
	$(BIN)/python -m benchmarks.report

pages: $(INSTALLED) ## write docs/environments/ and docs/agents/ from the code
	$(BIN)/python docs/reference_pages.py

docs: pages report ## build the documentation as a site, in site/
	$(BIN)/mkdocs build --strict

build: $(INSTALLED) ## a wheel, in dist/
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

clean: ## remove what was built and cached; .venv and runs/ stay
	rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find agents benchmarks tests textenvs -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call environment,FOLDER,CONSTRAINTS,WHAT,N): a virtual environment, of Python 3.N at least.
# The pip that comes with an older Python cannot build every package that newer ones can.
# torch goes first and without its dependencies, so that TORCH_ARGS touch nothing else; the last
# command finds it there and adds the rest.
define environment
	@command -v $(PYTHON) > /dev/null || { \
	    echo "make: there is no '$(PYTHON)'; name a Python of at least 3.$(4): make PYTHON=python3.12" >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, $(4)))' || { \
	    echo "make: this needs Python 3.$(4) or later; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	    "Name another: make PYTHON=python3.12" >&2; exit 1; }
	$(1)/bin/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(1)
	$(1)/bin/python -m pip install -c $(2) pip
	$(1)/bin/python -m pip install --no-deps -c $(2) $(TORCH_ARGS) torch
	$(1)/bin/python -m pip install -c $(2) -e "$(3)"
	@touch $@
endef

$(INSTALLED): pyproject.toml constraints.txt
	$(call environment,$(VENV),constraints.txt,.[dev],10)

$(PINNED)/.installed: pyproject.toml constraints-pinned.txt
	$(call environment,$(PINNED),constraints-pinned.txt,.[pinned],11)

# All as tested but for Gymnasium.
$(OLDEST).txt: constraints.txt
	sed 's/^gymnasium==.*/gymnasium==1.1.0/' constraints.txt > $@

$(OLDEST)/.installed: pyproject.toml $(OLDEST).txt
	$(call environment,$(OLDEST),$(OLDEST).txt,.[oldest],10)
