# `make help` lists what there is. Everything installs into .venv from the locked requirements.
PYTHON ?= python3
VENV   ?= .venv
RUN    := $(VENV)/bin/python
PIP    := -m pip --disable-pip-version-check install --progress-bar off --require-hashes
# Installs with the interpreter $(1) what $(2) says; a line per package, and pip's exit status.
INSTALL = { $(1) $(PIP) $(2); echo "status $$?"; } | awk \
  '/^Collecting / { printf "  %3d %s\n", ++n, $$2 } \
   /^Installing collected/ { print "  installing these " n ", which takes a minute or two" } \
   /^status / { exit $$2 } { fflush() }'
NEW_ENOUGH = $(1) -c "import sys; v = sys.version_info; sys.exit(f'rllc needs Python 3.11 or newer, \
  $(1) is {v[0]}.{v[1]}: $(2)' if v < (3, 11) else 0)"
# An environment made by uv, or on Debian without python3-venv, has no pip.
READY = $(call NEW_ENOUGH,$(RUN),remove $(VENV) first) && { \
  $(RUN) -m pip --version >/dev/null 2>&1 || $(RUN) -m ensurepip >/dev/null 2>&1 || { \
  echo "$(VENV) has no pip and ensurepip fails: remove $(VENV), install python3-venv" >&2; exit 1; }; }
# The suite runs from this checkout: a path file lets every process of the environment import it.
CHECKOUT = @$(RUN) -c "import pathlib, site; pathlib.Path(site.getsitepackages()[0], 'rllc-checkout.pth').write_text('$(CURDIR)\n')"

LOCK   := uv pip compile --upgrade --universal --fork-strategy fewest --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

BUDGET     ?=
TASKS      ?=
OPTIMIZERS ?=
ARGS       ?=
RECORD     ?=
STEPS      ?= 1

# " did you mean X?" of the words $(2) for the first of $(1); empty where nothing is like it.
MEANT = $(shell $(PYTHON) -c "import difflib, sys; w = difflib.get_close_matches(sys.argv[1], sys.argv[2:], 1); \
  print(*[f' did you mean {x}?' for x in w])" $(firstword $(1)) $(2) 2>/dev/null)

# A misspelt variable (TASK=…) would mean its default, all tasks: only these are taken.
KNOWN   := PYTHON VENV BUDGET TASKS OPTIMIZERS ARGS RECORD STEPS
UNKNOWN := $(filter-out $(KNOWN) MAKEFLAGS MFLAGS MAKEOVERRIDES, \
  $(foreach name,$(.VARIABLES),$(if $(filter command line,$(origin $(name))),$(name))))
ifneq ($(strip $(UNKNOWN)),)
  $(error unknown variable $(strip $(UNKNOWN));$(call MEANT,$(UNKNOWN),$(KNOWN)) known are $(KNOWN))
endif

.DEFAULT_GOAL := help
.PHONY: help setup dev data reproduce tune verify audit records tables report notebooks benchmark test test-fast torture test-slurm test-learned docs lock lint format clean clean-local

.DEFAULT:
	@echo "no target $@;$(call MEANT,$@,$(shell awk -F: '/^[a-z-]+:.*##/ { print $$1 }' $(MAKEFILE_LIST))) make help lists them" >&2; exit 2

help:  ## list the targets
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "  %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.suite  ## install what the experiments need
dev: $(VENV)/.dev  ## install what development needs too

$(VENV)/bin/python:
	@$(call NEW_ENOUGH,$(PYTHON),try make setup PYTHON=python3.12)
	$(PYTHON) -m venv $(VENV)

$(VENV)/.suite: requirements/suite.txt | $(VENV)/bin/python
	@$(READY)
	@echo "installing locked requirements into $(VENV) …"
	@$(call INSTALL,$(RUN),-r requirements/suite.txt)
	$(CHECKOUT)
	@touch $@

$(VENV)/.dev: requirements/suite.txt requirements/dev.txt | $(VENV)/bin/python
	@$(READY)
	@echo "installing locked development requirements into $(VENV) …"
	@$(call INSTALL,$(RUN),-r requirements/dev.txt)
	$(CHECKOUT)
	@touch $@ $(VENV)/.suite

data: setup  ## fetch and check MNIST, Fashion-MNIST and CIFAR-10 (ARGS="sympy gcide" for texts)
	$(RUN) scripts/prepare_data.py $(ARGS)

reproduce: setup  ## train the paper's cells here: BUDGET=15min|2h|all TASKS=… OPTIMIZERS=…
	$(RUN) scripts/reproduce.py --budget "$(BUDGET)" --tasks $(TASKS) --optimizers $(OPTIMIZERS) $(ARGS)

tune: setup  ## train tuning grids: TASKS=… OPTIMIZERS=…
	$(RUN) scripts/tune.py --tasks $(TASKS) --optimizers $(OPTIMIZERS) $(ARGS)

verify: setup  ## train a recorded run again and compare: RECORD=run-name STEPS=500|all
	$(RUN) scripts/verify.py "$(RECORD)" --steps "$(STEPS)" $(ARGS)

audit: setup  ## check every committed record: checksums, values, names
	$(RUN) scripts/audit.py $(ARGS)

records: setup  ## move local records into the committed ones
	$(RUN) scripts/move_records.py $(ARGS)

tables: setup  ## rebuild every committed table, figure and report from the committed records
	$(RUN) scripts/aggregate.py $(ARGS)

report: setup  ## write the page of all results into local/report (ARGS="FOLDER" for a study of your own)
	$(RUN) scripts/report.py $(ARGS)

notebooks: dev  ## execute the notebooks and keep what they show (ARGS="results" for one)
	$(RUN) scripts/notebooks.py $(ARGS)

benchmark: dev  ## measure speed: update, training step, sweep throughput
	$(RUN) scripts/benchmark.py $(ARGS)

test: dev  ## run the tests (no data, network or GPU)
	$(RUN) -m pytest $(ARGS)

test-fast: dev  ## run the tests that take less than about a second each
	$(RUN) -m pytest -m "not slow and not minutes" $(ARGS)

torture: dev  ## inject thousands of faults, 20 minutes: ARGS="--only kills" for a part
	$(RUN) -m tests.torture $(ARGS)

test-slurm: dev  ## run sweeps on a Slurm of their own, some minutes (tests/slurm/install.sh installs it)
	@command -v slurmctld >/dev/null || { echo "there is no Slurm here: tests/slurm/install.sh installs Debian's (as root)" >&2; exit 1; }
	$(RUN) -m pytest -m minutes tests/slurm $(ARGS)

test-learned: $(VENV)-learned/.done  ## run the learned_optimization tests against the real package
	$(VENV)-learned/bin/python -m pytest tests/suite/adapters $(ARGS)

$(VENV)-learned/.done: requirements/learned.txt
	$(PYTHON) -m venv $(VENV)-learned
	@echo "installing learned_optimization and its locked requirements into $(VENV)-learned …"
	@$(call INSTALL,$(VENV)-learned/bin/python,--no-deps -r requirements/learned.txt)
	@touch $@

docs: $(VENV)/.docs  ## build the documentation into build/docs; warnings are errors
	$(RUN) -m sphinx -W --keep-going -q -b html docs build/docs

$(VENV)/.docs: requirements/docs.txt $(VENV)/.dev
	@echo "installing locked requirements of the documentation into $(VENV) …"
	@$(call INSTALL,$(RUN),-r requirements/docs.txt)
	@touch $@

lock:  ## resolve the lock files anew from pyproject.toml (needs uv)
	$(LOCK) pyproject.toml --extra suite -o requirements/suite.txt
	$(LOCK) pyproject.toml --extra suite --extra dev -c requirements/suite.txt -o requirements/dev.txt
	$(LOCK) pyproject.toml --extra suite --extra dev --extra docs -c requirements/dev.txt -o requirements/docs.txt
	$(LOCK) pyproject.toml requirements/learned.in --extra suite --extra dev \
	  --override requirements/learned.overrides -o requirements/learned.txt

lint: dev  ## check style and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: dev  ## fix style
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean:  ## remove caches, keep local/ and .venv
	rm -rf outputs multirun build dist .pytest_cache .mypy_cache .ruff_cache

clean-local:  ## remove local/ too: records and checkpoints that are nowhere else (asks)
	@printf 'remove local/, trainings included? type yes: '; read answer; \
	  if [ "$$answer" = yes ]; then rm -rf local; else echo "local/ stays"; exit 1; fi
