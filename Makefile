# Everything on a machine with Python 3.11+ (with venv), git and make. Each target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := $(VENV)/.demo
# A line for each package that pip fetches or installs, and none for those that are there.
PROGRESS := awk '/^(Collecting|Installing|ERROR)/ {print "  " substr($$0, 1, 76); fflush()}'
# Processes of `make test`: one more than the two cores it is meant for, since tests wait a quarter of the
# time (for a deadline, a server's start, pip): 10,483 tests in 320 s on two idle cores (measured, 2026-11-30).
WORKERS ?= 3

.PHONY: help setup site demo test tests check coverage findings lint pages bench fuzz chaos mutants audit scan bigquery clean

help:
	@echo "make demo    the whole loop on this machine, no account needed (two minutes, most of it set-up)"
	@echo "make test    everything that is checked: style, types, layers, tests (WORKERS=3 processes)"
	@echo "make check   style, types, layers and the tests of the rooms that think: under a minute"
	@echo "make coverage  what of each room its own tests run, against its floor"
	@echo "make findings  what public packages do otherwise than one would guess: does it still hold?"
	@echo "make site    the documentation as a site in .site/, built strictly and offline; index.html opens it"
	@echo "make pages   the generated pages and files anew, after a change of what they are made of (half a minute)"
	@echo "make setup   .venv with everything for development"
	@echo "make bench   the measurements; results in bench/"
	@echo "make fuzz    malformed events, 100,000 of them, and every property with fresh examples"
	@echo "make chaos   faults drawn at random over the whole product, and what must hold (SECONDS=3600 SEED=1)"
	@echo "make mutants one change to a room that moves money at a time: do its tests notice? (ROOM=resubmit SAMPLE=100 SEED=17)"
	@echo "make scan    checkov over the Terraform module"
	@echo "make bigquery  a BigQuery emulator, for the tests that say SKIPPED without it"
	@echo "make audit   the locked versions against the public lists of vulnerabilities"

# What the demo runs with: the function's requirements and the twin's packages, about 400 MB.
$(DEMO): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "Setting up $(VENV): Google's clients and what the demo needs, under two minutes the first time."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.txt --group demo | $(PROGRESS)
	@$(BIN)/python -c 'import functions_framework, rich' && touch $@

# And what development needs besides.
$(READY): $(DEMO)
	@echo "Setting up $(VENV) for development: checkers and test tools."
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.txt --group dev | $(PROGRESS)
	@$(BIN)/python -c 'import pytest, mypy' && touch $@

setup: $(READY)

demo: $(DEMO)
	@$(BIN)/python -m remediator demo

site: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet -f site/mkdocs.yml
	@echo "open .site/index.html"

pages: $(READY)
	$(BIN)/python -m bench.diagnosis.signature_files
	$(BIN)/python bench/diagnosis/train.py  # the signatures' texts are training data, too
	$(BIN)/python -m tests.pages

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The google provider's schema, 49 MB; without it two tests say SKIPPED.
$(VENV)/provider: $(READY)
	@mkdir -p $@
	-@$(BIN)/python -m pip download --quiet --no-deps --dest $@ cdktf-cdktf-provider-google

# Each process takes its share of the tests in their order, and then what another has not begun: files
# stay together, and with them what their tests share.
PARALLEL = --numprocesses $(WORKERS) --dist worksteal

# Where a shell forbids bytecode, each process would rewrite all tests, and each command that a test
# starts would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

# Side by side: the checkers take ten seconds of one core, in which the other would have nothing to do.
test: $(VENV)/provider
	@$(MAKE) --no-print-directory --jobs 2 lint tests || { echo "a checker or a test failed: see above"; exit 1; }

tests: $(VENV)/provider
	REMEDIATOR_PROVIDER_WHEEL="$$(ls $(CURDIR)/$(VENV)/provider/*.whl 2>/dev/null | head -1)" $(BIN)/python -m pytest $(PARALLEL)

# The tests of the rooms that think: no cloud, no browser, no other process that works for a while.
PURE = $(filter-out tests/test_telemetry.py %_in_chromium.py tests/test_bench_remediation.py,$(wildcard tests/test_*.py)) tests/planning tests/policy tests/workflow

check: lint
	$(BIN)/python -m pytest -q $(PARALLEL) $(filter-out tests/test_diagnosis_cases.py,$(PURE))  # without whole corpora

# Of each room by its own tests, against the floors in the script: stories run everything somehow.
coverage: $(READY)
	$(BIN)/python -m pytest -q $(PARALLEL) -m "not emulator" $(PURE) tests/ledger tests/cloud \
	  --cov=remediator --cov-branch --cov-report=json:$(VENV)/coverage.json
	$(BIN)/python tests/coverage_by_room.py $(VENV)/coverage.json

# What public packages do otherwise than one would guess; needs a package index.
findings:
	@changed=""; for script in findings/*.sh; do echo "== $$script"; bash $$script || changed="$$changed $$script"; done; \
	test -z "$$changed" || { echo "changed, or it could not be run:$$changed"; exit 1; }

bench: $(READY)
	@missed=""; for script in bench/*/run.py; do echo "== $$script"; $(BIN)/python $$script || missed="$$missed $$script"; done; \
	test -z "$$missed" || { echo "an aim is missed, or it did not run:$$missed"; exit 1; }

fuzz: $(READY)
	$(BIN)/python -m pytest -q tests/test_intake.py -k otherwise_than_unusable --hypothesis-profile=fuzz
	$(BIN)/python -m pytest -q -m hypothesis --hypothesis-profile=fresh

# FIRESTORE=1: the ledger on Google's emulator, where Java and gcloud are there. `python -m bench.chaos.holes`
# measures what it finds.
chaos: $(READY)
	$(BIN)/python -m bench.chaos --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)) $(if $(FIRESTORE),--firestore)

$(VENV)/.mutants: $(READY)
	$(BIN)/python -m pip install --quiet --group mutants
	@touch $@

mutants: $(VENV)/.mutants
	@for room in $(or $(ROOM),resubmit claims budgets planner steps sizing guards workflow); do \
	$(BIN)/python tests/mutants.py $$room --sample $(or $(SAMPLE),0) --seed $(or $(SEED),17) || exit 1; done

$(VENV)/audit/bin/pip-audit: $(READY)
	$(BIN)/python -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet pip-audit

audit: $(VENV)/audit/bin/pip-audit
	@$(BIN)/python deploy/audit.py $(VENV)/audit/bin/pip-audit

# An environment of its own: it wants other versions of gRPC's libraries than we do.
$(VENV)/bqemulator/bin/bqemulator: $(READY)
	$(BIN)/python -m venv $(VENV)/bqemulator
	$(VENV)/bqemulator/bin/python -m pip install --quiet "bqemulator>=1.4,<2" "numpy>=2"

bigquery: $(VENV)/bqemulator/bin/bqemulator

$(VENV)/checkov/bin/checkov: $(READY)
	$(BIN)/python -m venv $(VENV)/checkov
	$(VENV)/checkov/bin/python -m pip install --quiet checkov

scan: $(VENV)/checkov/bin/checkov
	$< --directory deploy/terraform --framework terraform --skip-download --quiet --compact

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .remediator .mutants
