# `make demo` and `make test` need Python 3.11 or newer, make, git and a package index, nothing else.
# The environment is made once, in .venv, and again when pyproject.toml changes.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
# How many pairs of runs `make bench` takes the median of, and of how many saves of each kind.
PAIRS ?= 9
SAVES ?= 300
# How many runs `make simulate` makes of each kind. `make torture TORTURE=short` is short, and so are
# `make fuzz FUZZ=short` and `make explore EXPLORE=short`, without the largest logs; `make mutants
# MUTANTS=short` tries a tenth of those outside the core, `make scoreboard SCOREBOARD=short` an eighth.
SEEDS ?= 25000
TORTURE ?=
EXPLORE ?=
FUZZ ?=
MUTANTS ?=
SCOREBOARD ?=
EDITS ?=
# Compiled code is kept: else each process that a test starts compiles the packages again.
export PYTHONDONTWRITEBYTECODE :=
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.PHONY: help demo test slow check types lint format cover mutants edits scoreboard explore simulate torture fuzz bench wheel docs figures clean

help:  ## what there is
	@awk -F ':.*## *' '/^[a-z]+:.*##/ {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/cli  ## set up, and let rival proposers reach a decision
	@echo "== paxos demo"
	@$(BIN)/paxos demo

test: $(VENV)/test  ## set up, and run the quick tests: about three minutes
	@echo "== pytest, the quick tests, $$($(BIN)/python --version)"
	@$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

slow: $(VENV)/test  ## the tests that `make test` leaves out: some minutes
	@echo "== pytest, the slow tests, $$($(BIN)/python --version)"
	@$(BIN)/python -m pytest -n auto --dist worksteal -m "slow"

check: $(VENV)/test  ## all tests, and all that hypothesis draws: some minutes
	@echo "== pytest, $$($(BIN)/python --version)"
	@$(BIN)/python -m pytest -n auto --dist worksteal

types: $(VENV)/dev  ## mypy and pyright, both strict
	@echo "== mypy"
	@$(BIN)/mypy
	@echo "== pyright"
	@$(BIN)/pyright --pythonpath $(BIN)/python

lint: $(VENV)/dev  ## ruff, linter and formatter, and codespell
	@echo "== ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "== codespell"
	@$(BIN)/codespell

format: $(VENV)/dev  ## let ruff format everything
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

cover: $(VENV)/test  ## 100% of the branches of each core module, by its own test file
	@echo "== coverage"
	@$(BIN)/python tests/tools/cover.py

mutants: $(VENV)/test  ## delete each safety clause in turn; a named test must notice
	@echo "== mutants"
	@$(BIN)/python tests/tools/mutants.py $(MUTANTS)

edits: $(VENV)/test  ## edit the adapters at random: does a test notice? an hour (EDITS="--seed 7")
	@echo "== random edits"
	@$(BIN)/python -m tests.tools.random_edits $(EDITS)

scoreboard: $(VENV)/test  ## which driver notices each mutant, some minutes: writes docs/scoreboard.md
	@echo "== scoreboard"
	@$(BIN)/python -m tests.tools.scoreboard $(SCOREBOARD)

simulate: $(VENV)/cli  ## fault-injection simulation: a hundred thousand runs, some minutes
	@for mode in "" "--servers 5 --proposers 3" "--liveness" "--servers 5 --proposers 3 --liveness"; do \
		echo "== paxos simulate $$mode"; $(BIN)/paxos simulate --seeds $(SEEDS) $$mode || exit 1; done
	@echo "== versions of a state machine, with changes of members and snapshots"
	@$(BIN)/python -m tests.tools.versions_simulated --runs $$(($(SEEDS) / 10))

torture: $(VENV)/test  ## kills, power cuts, damage; and a cluster on a lossy network, some minutes
	@echo "== torture: the file store"
	@$(BIN)/python -m tests.tools.torture $(TORTURE)
	@echo "== torture: a change of members"
	@$(BIN)/python -m tests.tools.members_kills --stride $(if $(TORTURE),11,1)
	@echo "== torture: a cluster"
	@$(BIN)/python -m tests.tools.cluster_torture $(TORTURE)
	@echo "== torture: a replicated log"
	@$(BIN)/python -m tests.tools.log_torture $(TORTURE)
	@echo "== torture: a replicated log whose servers are replaced"
	@$(BIN)/python -m tests.tools.members_torture $(TORTURE)
	@echo "== torture: what operators do to disks"
	@$(BIN)/python -m tests.tools.disk_torture $(TORTURE)

fuzz: $(VENV)/test  ## millions of hostile datagrams, for the wire and for a cluster, some minutes
	@echo "== fuzz: the wire"
	@$(BIN)/python -m tests.tools.fuzz $(FUZZ)
	@echo "== fuzz: a live cluster"
	@$(BIN)/python -m tests.tools.cluster_fuzz $(FUZZ)

explore: $(VENV)/cli  ## every run of small clusters, and models of the rules around them: some minutes
	@for scope in "" "--crashes 1" "--proposers 1 --inquirers 1" "--acceptors 4 --ballots 1" \
		"--acceptors 5 --ballots 1" "--proposers 3 --ballots 1" "--quorum 3/1" \
		"--proposers 1 --readers 1" "--readers 1 --proposers 2 --ballots 1 --crashes 1" \
		"--proposers 1 --readers 1 --reads 2 --ballots 1 --crashes 1" \
		"--proposers 1 --readers 1 --ballots 1 --quorum 3/1" \
		"--proposers 1 --readers 1 --ballots 1 --quorum 1/3" \
		"--acceptors 4 --proposers 1 --readers 1 --ballots 1 --quorum 3/2" \
		"--acceptors 5 --proposers 1 --readers 1 --ballots 1" \
		"--proposers 1 --readers 2 --ballots 1" \
		"--log" "--log --crashes 1" "--log --heartbeats all" \
		$(if $(EXPLORE),,"--log --ballots 2" "--log --slots 2" "--log --slots 2 --crashes 1" \
		"--log --change 1,1,0 --crashes 1"); do \
		echo "== paxos explore $$scope"; $(BIN)/paxos explore $$scope || exit 1; done
	@echo "== models: sessions, registration, members"
	@$(BIN)/python -m tests.tools.models
	@echo "== random histories of sessions"
	@$(BIN)/python -m tests.tools.session_histories 60

bench: $(VENV)/test  ## beside essential-paxos, the bare disk, PySyncObj and etcd: some minutes
	@echo "== bench"
	@$(BIN)/python benchmarks/decisions.py $(PAIRS)
	@$(BIN)/python -m benchmarks.log $(PAIRS)
	@$(BIN)/python benchmarks/saves.py $(SAVES)
	@$(BIN)/python benchmarks/datagrams.py 40
	@$(BIN)/python benchmarks/latency.py $(PAIRS)
	@PYTHONPATH=. $(BIN)/python benchmarks/catch_up.py $(if $(filter 1,$(PAIRS)),20000,1000000)

wheel: $(VENV)/dev  ## build the wheel, and test it with the sources moved away
	@echo "== wheel"
	@$(BIN)/python tests/tools/wheel.py

docs: figures $(VENV)/docs $(VENV)/test  ## the site, into build/site, and its tests; a warning is an error
	@echo "== sphinx"
# Pages of an earlier build would hide links that lead nowhere now.
	@rm -rf build/site
	@$(BIN)/python -m sphinx -b html -q -n -W --keep-going docs build/site
	@echo "== pytest, links, axe and sizes"
	@PAXOS_SITE=build/site $(BIN)/python -m pytest -q -n auto tests/repository/test_site.py tests/paxos_lab/test_figures.py
	@echo "open build/site/index.html"

figures: $(VENV)/cli  ## write the pages and figures that are made from the code
	@echo "== figures"
	@$(BIN)/python -m tests.tools.transitions
	@$(BIN)/python -m tests.tools.figures

clean:  ## remove what make has made
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*

# The command needs msgspec to run servers.
EXTRAS_cli := cli,udp
# One stamp for each extra: made when the extra is installed, stale when pyproject.toml changes.
$(VENV)/cli $(VENV)/test $(VENV)/dev $(VENV)/docs: pyproject.toml | $(VENV)/bin/python
	@echo "== installing sansio-paxos[$(or $(EXTRAS_$(@F)),$(@F))] into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(or $(EXTRAS_$(@F)),$(@F))]'
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "paxos needs Python 3.11 or newer; none was found." \
		"Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "== making $(VENV) with $(PYTHON), $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "this Python cannot make environments;" \
		"on Debian, install python3-venv" >&2; exit 1; }
