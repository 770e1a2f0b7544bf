# Everything a person does by hand. `make audit` and `make test` need a fresh Debian with git, make and Python 3.11+.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(shell for one in python3.11 python3.12 python3.13 python3; do \
	"$$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$one" && break; done)
OUT ?= reports/this-machine
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/$(BIN):$(PATH)
export CONTAINERS_CONF := $(CURDIR)/.cache/containers.conf

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

audit: $(VENV)/.runtime $(CORE:%=$(VENV)/.core-%) ## Audit this machine, read-only, and write the report
	@$(BIN)/hostmend audit --output $(OUT) $(ARGS); code=$$?; \
	if [ $$code -eq 2 ]; then echo "Something is open on this machine; nothing was changed."; code=0; fi; \
	echo "The command is $(BIN)/hostmend; \`make shell\` opens a shell that has it on its PATH."; exit $$code

shell: $(VENV)/.runtime ## Open a shell that has hostmend and ansible-playbook on its PATH
	@echo "hostmend is on the PATH of this shell; leave it with exit."; exec $${SHELL:-/bin/bash}

check: $(VENV)/.dev ## Lint, types and unit tests, without containers
	@tools/check

test: $(VENV)/.dev ## Everything: lint, types, unit and integration tests, sanity, every scenario
	@tools/test

test-matrix: lab ## All scenarios on all distributions, and all cases mended; goes on where an earlier run had no time left
	@tools/test-matrix $(ARGS)

lab: $(VENV)/.dev ## Install the container engine where it is missing, and build the images
	@tools/lab

images: lab ## Build the container images of the lab

sanity: $(VENV)/.dev ## ansible-test sanity on the built collection
	@tools/sanity

compat: lab ## Try each ansible-core that is supported, in a virtual environment of its own
	@tools/compat $(ARGS)

bench: lab ## Measure audits beside ansible's own setup
	@$(BIN)/python benchmarks/bench.py

reference: $(VENV)/.dev ## Write the reference pages from the catalogue anew
	@$(BIN)/python -m hostmend.reference

clean: ## Remove what was built; containers and images of the lab too
	@tools/clean

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is missing. Install with: apt-get install python3 python3-venv" >&2; exit 1; fi
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "Python's venv is missing. Install with: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml hatch_build.py | $(VENV)/bin/python
	@echo "Setting up $(VENV): Ansible and what the report needs are fetched once, which takes a minute or two."
	@set -o pipefail; $(BIN)/pip install --disable-pip-version-check --progress-bar off --editable . \
	| sed -un 's/^Collecting \([^ ;<>=(\[~!]*\).*/  fetching \1/p; s/^Installing collected packages.*/  installing/p'
	@touch $@

# make audit CORE=2.16 drives hosts with Python 3.6.
$(VENV)/.core-%: $(VENV)/.runtime
	@$(BIN)/pip install --quiet --disable-pip-version-check 'ansible-core==$*.*'
	@rm -f $(VENV)/.core-*
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/pip install --quiet --disable-pip-version-check --group dev
	@touch $@

.PHONY: help audit shell check test test-matrix lab images sanity compat bench reference clean
