# Every target sets up what it needs in .venv, once; `make` alone lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CORE   := src/batchprop/*.py,src/batchprop/engines/*.py
# What shells share is no part of the core.
SHARED := src/batchprop/files.py,src/batchprop/webdata.py
OUT    ?= build/digits
# Most of what is installed is never imported, so compiling all of it would take longer than installing it.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
# Tests by which the core's coverage is measured: its doctests and tests, but for files that take long and reach
# nothing that these do not, and single tests marked so (untraced): a traced test takes half as long again.
TRACED := $(filter-out %/__main__.py,$(wildcard src/batchprop/*.py)) src/batchprop/engines \
  $(filter-out $(patsubst %,tests/core/test_%.py,algebra collapses files gradients jax_compilations jax_parity \
  jax_purity jax_steps namespaces prng webdata),$(wildcard tests/core/test_*.py)) tests/estimators/test_own_functions.py \
  tests/test_house.py::test_dir_lists_what_is_imported_lazily tests/export/test_from_weights.py \
  tests/estimators/test_engines.py::test_clone_gives_an_unfitted_twin \
  $(addprefix tests/estimators/test_weights.py::test_,influence_of_a_row_is_in_proportion_to_its_weight \
  a_row_of_weight_0_has_no_influence_whatever_it_holds a_class_of_weight_0_has_no_influence \
  influence_refuses_unusable_weights)
# Each process takes tests that stand together, and so shares what a module sets up; whoever is done takes from
# the others.
PYTEST := $(BIN)/pytest -n auto --dist worksteal
FUZZ_SECONDS ?= 60
# pip installs without compiling, so a Python that keeps no bytecode compiles all it imports in every process.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test coverage lint types format docs page bench bench-private bench-bad-rows bench-streamed bench-reading bench-processes bench-tables crash fuzz clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.tables  ## train on the digits and save the model in build/digits
	$(BIN)/batchprop train --out $(OUT) --force

test: $(VENV)/.dev  ## run the whole suite with doctests, and hold the core's coverage (ARGS="-k heads": some of it)
	$(PYTEST) -rs $(ARGS)
	$(if $(ARGS),,@$(MAKE) --no-print-directory coverage)

coverage: $(VENV)/.dev  ## hold the core's coverage: at least 98% of its lines and of its branches
	$(PYTEST) -q --hypothesis-profile=traced -m 'not untraced' --cov --cov-report= $(TRACED)
	$(BIN)/coverage report --include='$(CORE)' --omit='$(SHARED)' --fail-under=98
	@$(BIN)/coverage json --quiet --include='$(CORE)' --omit='$(SHARED)' -o build/core-coverage.json
	@$(BIN)/python -c 'import json, sys; \
	  totals = json.load(open("build/core-coverage.json"))["totals"]; \
	  percent = 100 * totals["covered_branches"] / max(1, totals["num_branches"]); \
	  print(f"Branches of the core covered: {percent:.1f}% (at least 98% wanted)"); \
	  sys.exit(percent < 98)'

lint: $(VENV)/.dev  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## mypy, strict
	$(BIN)/mypy

format: $(VENV)/.dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs  ## build the documentation site in build/site, every warning an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo 'The site is in build/site: open build/site/index.html, or serve it with'
	@echo '  $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site'

page:  ## build the scripts and styles of microscope, report and playground from web/ (needs Node.js 20)
	npm ci --prefix web --no-progress --loglevel=error
	npm run --prefix web check
	npm run --prefix web build

bench: $(VENV)/.bench$(if $(QUICK),-quick)  ## time batchprop beside its peers (15 minutes; QUICK=--quick to try it)
	$(BIN)/python -m benchmarks.run $(QUICK)

bench-private: $(VENV)/.bench$(if $(QUICK),-quick,-private)  ## time private training beside Opacus and vmap(grad) (half an hour)
	$(BIN)/python -m benchmarks.private $(QUICK)

bench-bad-rows: $(VENV)/.bench-bad-rows  ## find wrong labels beside cleanlab (10 minutes; QUICK=--quick to try it)
	$(BIN)/python -m benchmarks.bad_rows $(QUICK)

crash: $(VENV)/.dev  ## kill commands at every change of a file, and plant links under every name (20 minutes; KILLS=30: a few)
	BATCHPROP_KILLS=$(or $(KILLS),all) $(PYTEST) tests/cli/test_kills.py tests/cli/test_plants.py

fuzz: $(VENV)/.fuzz  ## search for files and arguments that hurt, FUZZ_SECONDS=60 for each kind (Linux)
	@set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; for kind in csv parquet model checkpoint walk; do \
	  echo "== $$kind"; TMPDIR=$$scratch $(BIN)/python -m fuzz.run $$kind build/fuzz -max_total_time=$(FUZZ_SECONDS); done
	@set -e; for kind in checkpoint model training trials; do \
	  echo "== structure of a $$kind"; $(BIN)/python -m fuzz.structures $$kind $(FUZZ_SECONDS) $$(date +%s); done
	@echo '== estimators'; $(BIN)/python -m fuzz.estimators $(FUZZ_SECONDS) $$(date +%s)

bench-streamed: $(VENV)/.bench-quick  ## time training on tables larger than memory (15 minutes, 7 GB; QUICK=--quick to try it)
	$(BIN)/python -m benchmarks.streamed $(QUICK)

bench-reading: $(VENV)/.bench-reading  ## time reading, training and predicting tables beside pandas, polars and scikit-learn (an hour, 3 GB; QUICK=--quick to try it)
	$(BIN)/python -m benchmarks.predicting $(QUICK)
	$(BIN)/python -m benchmarks.train_phases $(QUICK)
	$(BIN)/python -m benchmarks.reading $(QUICK)

bench-processes: $(VENV)/.bench-quick  ## time a step in one process and in two, and predict 64 machines (3 minutes; QUICK=--quick to try it)
	$(BIN)/python -m benchmarks.processes $(QUICK)

bench-tables: $(VENV)/.bench-tables$(if $(QUICK),-quick)  ## the league: errors and times on 40 tables beside boosted trees and networks (days; goes on where it stopped; QUICK=--quick to try it)
	$(BIN)/python -m benchmarks.league $(QUICK)

clean:  ## remove .venv and everything built
	rm -rf $(VENV) web/node_modules build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

# A stamp stands for "pip has installed this"; only a change of what it names installs again.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'batchprop needs Python 3.11 or newer; name one with: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo '$(PYTHON) cannot make virtual environments: apt-get install python3-venv' >&2; exit 1; }
	@echo 'Setting up $(VENV): a minute or two, once'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.tables: pyproject.toml | $(BIN)/python
	$(INSTALL) --editable '.[tables]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	@mkdir -p build
	@touch $@ $(VENV)/.tables

$(VENV)/.docs: pyproject.toml $(VENV)/.tables
	$(INSTALL) --editable '.[tables,docs]'
	@touch $@

$(VENV)/.fuzz: pyproject.toml $(VENV)/.tables
	$(INSTALL) --editable '.[tables,fuzz]'
	@touch $@

$(VENV)/.bench: benchmarks/requirements.txt benchmarks/requirements-quick.txt $(VENV)/.tables
	$(INSTALL) -r benchmarks/requirements.txt
	@touch $@

$(VENV)/.bench-private: benchmarks/requirements-private.txt $(VENV)/.bench
	$(INSTALL) -r benchmarks/requirements-private.txt
	@touch $@

$(VENV)/.bench-bad-rows: benchmarks/requirements-bad-rows.txt $(VENV)/.bench-quick
	$(INSTALL) -r benchmarks/requirements-bad-rows.txt
	@touch $@

$(VENV)/.bench-reading: benchmarks/requirements-reading.txt $(VENV)/.bench-quick
	$(INSTALL) -r benchmarks/requirements-reading.txt
	@touch $@

$(VENV)/.bench-tables: benchmarks/requirements-league.txt $(VENV)/.bench-tables-quick
	$(INSTALL) -r benchmarks/requirements-league.txt
	@touch $@

# The quick try needs R's data sets, and no peer but scikit-learn.
$(VENV)/.bench-tables-quick: benchmarks/requirements-league-quick.txt $(VENV)/.bench-quick
	$(INSTALL) -r benchmarks/requirements-league-quick.txt
	@touch $@

# PyTorch takes minutes to fetch, so the quick try does without.
$(VENV)/.bench-quick: benchmarks/requirements-quick.txt $(VENV)/.tables
	$(INSTALL) -r benchmarks/requirements-quick.txt
	@touch $@
