# evdebug: one command to run it, one to test it. Needs GNU make and Python 3.11 or newer.

VENV ?= .venv
PORT ?= $(or $(EVDEBUG_PORT),8000)
PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.13 python3.14; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)

PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --no-input --constraint constraints.txt
# Stamps are named after what the requirements say, so a change installs again and nothing else does.
RUN_READY := $(VENV)/.ready-run-$(shell cat requirements.txt constraints.txt | cksum | tr -d ' ')
TEST_READY := $(VENV)/.ready-test-$(shell cat requirements*.txt constraints.txt | cksum | tr -d ' ')

.PHONY: help run test lint bench
.DEFAULT_GOAL := help

help:
	@echo 'make run     evdebug with the demo shop on http://127.0.0.1:$(PORT); ctrl-C stops it'
	@echo 'make test    every test that can run on this machine, and why the others cannot'
	@echo 'make lint    style, types, architecture, documents and migrations'
	@echo 'make bench   the benchmarks, each beside its baseline; writes bench/RESULTS.md'

run: $(RUN_READY)
	@exec $(PY) manage.py up --demo --port $(PORT)

test: $(TEST_READY)
	@$(PY) -m tests

lint: $(TEST_READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy .
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
		EVDEBUG_DATA="$$folder" DATABASE_URL= $(PY) manage.py makemigrations --check --dry-run
	$(PY) -m pytest --durations=0 tests/test_architecture.py tests/test_docs.py

bench: $(TEST_READY)
	@$(PY) -m bench

$(PY):
	@test -n '$(PYTHON)' || { echo 'evdebug needs Python 3.11 or newer, and there is none on PATH. \
	Install one, or name it: make PYTHON=/path/to/python3.11' >&2; exit 2; }
	@$(PYTHON) -m venv '$(VENV)' || { rm -f '$(PY)'; exit 2; }

$(RUN_READY): | $(PY)
	@echo 'Installing what evdebug needs into $(VENV), once …' >&2
	@$(PIP) -r requirements.txt
	@rm -f '$(VENV)'/.ready-run-* && touch '$@'

$(TEST_READY): | $(PY)
	@echo 'Installing what evdebug and its tests need into $(VENV), once …' >&2
	@$(PIP) -r requirements-test.txt
	@rm -f '$(VENV)'/.ready-* && touch '$@' '$(RUN_READY)'
