# The same commands CI runs.  `make` alone lists them.
#
# Needs Python >= 3.11, perl and a C++ compiler; everything else arrives in .venv through pip.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
PYTEST := $(BIN)/python -m pytest -n 2
SLOW := sim or formal or fpga
comma := ,

.DEFAULT_GOAL := help
.PHONY: help setup sim test lint check campaign fuzz fpga-check fpga-place upf retrain format clean distclean

help:        ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)         ## Create .venv (1-3 minutes once, then nothing)

# A changed pyproject.toml installs again; the environment itself is kept.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "$(PYTHON) is older than Python 3.11: name another with make PYTHON=..." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

sim: $(STAMP)           ## The demo: real input through the RTL (1 minute, then seconds)
	@$(BIN)/mmsp demo

test: lint check        ## Everything: lint, then tests from cheap to dear (28 minutes)
	$(PYTEST) -m "($(SLOW)) and not long"

lint: $(STAMP)          ## Formatting, lint rules and types (20 seconds)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright

check: $(STAMP)         ## Tests that build no Verilog and prove nothing (3 minutes)
	$(PYTEST) -m "not ($(SLOW) or long)"

campaign: $(STAMP)      ## Long tests: faults, power, the front ends, retraining (an hour)
	$(PYTEST) -m long

fuzz: $(STAMP)          ## Random networks on the RTL, against TFLM (N=100 SEED=1 CONFIG=SMALL,FULL)
	@$(BIN)/python -m mmsp.fuzz --count $(or $(N),100) --seed $(or $(SEED),1) \
	    --config $(or $(CONFIG),SMALL$(comma)FULL) --target $(or $(TARGET),rtl)

fpga-check: $(STAMP)    ## Synthesis for the ECP5: does it fit, and its budgets (80 seconds)
	@$(BIN)/python -m fpga.check

fpga-place: $(STAMP)    ## The engine alone, placed and routed for the ECP5 (an hour)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,fpga]'
	@$(BIN)/python -m fpga.place

upf: $(STAMP)           ## Power domains as IEEE 1801, in build/upf (CONFIG=FULL; 2 seconds)
	@$(BIN)/python -m hdl.power.upf $(addprefix --config ,$(CONFIG))

retrain: $(STAMP)       ## Train the digit network of the demo again (20 seconds)
	$(BIN)/python -m mmsp.zoo.train_digits

format: $(STAMP)        ## Rewrite the sources in the one format (a second)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:                  ## Remove everything generated, except .venv
	rm -rf build

distclean: clean        ## Remove .venv, too
	rm -rf .venv
