# make help says what there is. Set-up is done once and again only when the versions change.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test lint parity bench peers docs browser clean

# The first Python that is new enough; `make PYTHON=/path/to/python demo` chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
PEERS := .venv-peers/bin
PIP := -m pip install --quiet --disable-pip-version-check -c requirements.lock
VERSIONS := pyproject.toml requirements.lock

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.ready-demo ## choose data, tune a real model, judge it, end in a verdict (minutes)
	$(BIN)/togi fetch
	$(BIN)/togi run recipes/quickstart.yaml || [ $$? -eq 3 ]

test: .venv/.ready-test lint browser ## lint, types, import rules, doctests and all tests
	$(BIN)/togi fetch
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/.ready-test ## style, types and import rules only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

parity: .venv-peers/.ready ## compare with the reference packages, in an environment of their own
	$(PEERS)/python -m pytest tests/parity -o addopts= -q -W default

bench: .venv/.ready-test .venv-peers/.ready ## NAME=dsir: measure against a peer, write bench/results/
	@[ -n "$(NAME)" ] || { echo "give NAME, one of: $(basename $(notdir $(wildcard bench/[a-z]*.py)))"; exit 2; }
	$(BIN)/python -m bench.$(NAME)

peers: .venv-peers/.ready ## install the reference packages only

docs: .venv/bin/python ## make docs/files.md anew from the modules' first lines
	$(BIN)/python docs/make_files.py

clean: ## remove the environments and what tools left behind
	rm -rf .venv .venv-peers .pytest_cache .ruff_cache .hypothesis

# --- set-up ---------------------------------------------------------------------------------------

.venv/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "togi needs Python 3.11 or newer"; exit 5; }
	$(PYTHON) -m venv .venv || { echo "install Python's venv (Debian: apt-get install python3-venv)"; exit 5; }

.venv/.ready-demo: .venv/bin/python $(VERSIONS)
	$< $(PIP) -e ".[gguf]"
	touch $@

.venv/.ready-test: .venv/bin/python $(VERSIONS)
	$< $(PIP) -e ".[gguf,hub,language,ray,dev]"
	touch $@ .venv/.ready-demo

.venv-peers/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "togi needs Python 3.11 or newer"; exit 5; }
	$(PYTHON) -m venv .venv-peers

.venv-peers/.ready: .venv-peers/bin/python $(VERSIONS)
	$< $(PIP) -e ".[gguf,hub]" pytest hypothesis \
	  trl==1.16.0 peft==0.21.2 data-selection==1.0.3 datasketch==2.0.0 lm-eval==0.4.13 \
	  krippendorff==0.9.0 crowdtruth==2.1 \
	  logodds==0.1.0 statsmodels==0.15.0 \
	  torch==2.13.0 transformers==5.23.0 autograd==1.9.1 \
	  bitsandbytes==0.50.2
	$< $(PIP) --no-deps torchtune==0.6.1
	$< $(PIP) --no-deps --target .venv-peers/trl-ppo --upgrade trl==1.12.0
	touch $@

# The report is opened in a real browser by its tests; without one these tests say that they skip.
browser:
	@if ! type -P chromium chromium-browser google-chrome > /dev/null && type -P apt-get > /dev/null; then \
	  root=$$([ "$$(id -u)" = 0 ] || echo "sudo -n"); \
	  { $$root apt-get update -qq && $$root apt-get install -y -qq --no-install-recommends chromium; } \
	    || echo "no Chromium here: the browser tests will be skipped"; \
	fi
