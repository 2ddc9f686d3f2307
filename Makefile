# make run   installs into .venv and processes the sample documents
# make test  installs the development extras and passes the tests
# make soak  passes the tests that take minutes: faults at random places and under load
# make chaos kills workers, crashes PostgreSQL and cuts networks, and checks every run
# make bench prints how fast it is, beside its peers
# make accuracy prints how much of the documents' facts is read right
# make docs  builds the documentation's site into build/site
# make bench-compare BASE=commit prints how fast it is, beside an earlier commit
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STATE := $(VENV)/state
EXTENSIONS := $(foreach file,$(wildcard extensions/*/pyproject.toml),-e ./$(dir $(file)))

.PHONY: run test tests soak chaos lint ruff types accuracy docs bench bench-compare clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip

# A stamp for each set of extras, renewed when what they are made from changes.
$(VENV)/.run: $(BIN)/python pyproject.toml sdk/pyproject.toml
	$(BIN)/pip install -qq -e ./sdk -e '.[all]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml sdk/pyproject.toml $(wildcard extensions/*/pyproject.toml)
	$(BIN)/pip install -qq -e ./sdk -e '.[all,dev,bench]' $(EXTENSIONS)
	@touch $(VENV)/.run $@

run: $(VENV)/.run
	$(BIN)/qtforge-host --state-dir $(STATE) run document-processing examples/documents/* --jobs 2

lint: ruff types

ruff: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

# The types are checked beside the tests, which leave a processor idle now and then.
test: ruff
	$(MAKE) --no-print-directory --jobs 2 types tests

# Modules are compiled once, and not by each of the many processes that the tests start. There
# is one worker more than processors, since tests wait for disks, servers and clocks.
tests: export PYTHONDONTWRITEBYTECODE :=
tests: $(VENV)/.dev
	$(BIN)/pytest -n 3 --dist worksteal --durations 40 --durations-min 2

soak: $(VENV)/.dev
	$(BIN)/pytest -m soak --timeout 3600

# PARTS="kills drain" for some of it; as root, for the parts that mount disks and cut networks.
chaos: $(VENV)/.dev
	$(BIN)/python -m tools.chaos $(PARTS)

accuracy: $(VENV)/.dev
	$(BIN)/python -m tools.accuracy

docs: $(VENV)/.dev
	$(BIN)/python -m tools.site

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

bench-compare: $(VENV)/.dev
	$(if $(BASE),,$(error Name the commit to compare with: make bench-compare BASE=commit))
	$(BIN)/python -m benchmarks.compare $(BASE) $(if $(HEAD),--head $(HEAD)) $(foreach group,$(ONLY),--only $(group))

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
