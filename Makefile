# Every target sets up what it needs in .venv; all that must be there before is Python 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

# With it each of the hundreds of processes below would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test unit check format bench soak chaos crash clean lock

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.local  ## from nothing to an answered prediction, on this machine
	@$(BIN)/portside demo

# Three at a time, on two cores too: most of them wait for processes to start and to end.
test: $(VENV)/.dev  ## all tests but long soaks, chaos and benchmarks
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not alone"
	$(BIN)/python -m pytest -m alone

unit: $(VENV)/.dev  ## the tests that start no process and need no network
	$(BIN)/python -m pytest tests/unit

check: $(VENV)/.dev  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## mend what the tools can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## measure serving beside its peers, the machine's limits, and at overload
	$(PIP) --quiet -r bench/requirements.txt
	$(BIN)/python -m bench

soak: $(VENV)/.dev  ## five minutes of good, bad, slow and vanishing clients
	$(BIN)/python -m tests.soak

chaos: $(VENV)/.dev  ## ten minutes of a local SageMaker that is killed, starved and asked all the while
	$(BIN)/python -m tests.chaos

crash: $(VENV)/.dev  ## kill deploy, rollback and destroy at every call in turn, and run them again
	$(BIN)/python -m tests.chaos.crash

lock: $(VENV)/.dev  ## resolve constraints.txt anew
	@$(BIN)/python -m pip install --quiet uv
	@# CUDA's own packages come with torch's default build, which is not the one that we install.
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
	  --no-emit-index-url --no-annotate --no-header --quiet | grep -vE '^(nvidia|cuda|triton)' > constraints.new
	mv constraints.new constraints.txt

clean:  ## remove everything that the targets made
	rm -rf $(VENV) .portside build dist examples/*/model examples/*/.portside examples/ner/ner-minilm

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Portside needs Python 3.11 or later; run: make $(MAKECMDGOALS) PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

# A dot for each package; what goes wrong is on stderr, and leaves no stamp behind.
define install
	@rm -f $@
	@($(PIP) -e '.[$(1)]' && touch $@) | \
	  awk '/^ *(Collecting|Downloading|Installing)/ { printf "."; fflush() } END { print "" }'
	@test -e $@
endef

$(VENV)/.local: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing Portside into $(VENV) (about a minute the first time)"
	$(call install,local)

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing Portside and its test tools into $(VENV) (a few minutes the first time)"
	$(call install,dev)
	@touch $(VENV)/.local
