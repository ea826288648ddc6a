# Works with GNU make 3.81 and BSD tools. `make help` lists the targets.

VENV := .venv/bin
# Test processes: one per core; `make test JOBS=0` runs in one process, for a debugger.
JOBS ?= auto
TESTS ?= tests

# What the demo and the tests talk to listens on loopback; a proxy has no business there.
comma := ,
loopback := 127.0.0.1,localhost,::1
no_proxy_all := $(loopback)$(if $(NO_PROXY),$(comma)$(NO_PROXY))$(if $(no_proxy),$(comma)$(no_proxy))
export NO_PROXY := $(no_proxy_all)
export no_proxy := $(no_proxy_all)

.PHONY: help demo test check format bench bench-backfill proof lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

demo:  ## Watch three clouds fill one HCP Packer version, on this machine alone
	@.ci/venv demo
	@$(VENV)/packer-publisher demo $(ARGS)

test:  ## Run the tests
	@.ci/venv dev
	@$(VENV)/python -m pytest -q -n $(JOBS) $(TESTS)

check:  ## Lint, format, types, the dependency rule, import budgets
	@.ci/venv dev
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports --no-cache
	$(VENV)/python -m pytest -q tests/test_import_budget.py

format:  ## Format and mend what ruff can mend
	@.ci/venv dev
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

bench:  ## Print the calls to the registry per event, beside what is promised
	@.ci/venv dev
	@$(VENV)/python -m tests.bench.call_counts

bench-backfill:  ## Print the backfill's calls, time and memory, beside their limits (2 min; fails where one is missed)
	@.ci/venv dev
	@$(VENV)/python -m tests.bench.backfill

proof:  ## Print the figures of the proof: interleavings, faults, histories, outage, poison, the registry's honesty
	@.ci/venv dev
	@for part in explore fault_play histories outage poison honesty; do $(VENV)/python -m tests.proof.$$part || exit 1; done

# Universal: one file for all Pythons and systems; no address of a package index, so any mirror serves.
LOCK := uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	pyproject.toml requirements/lock.in

lock:  ## Pin and hash the newest dependencies (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: brew install uv, or pipx install uv."; exit 1; }
	$(LOCK) --extra dev --output-file requirements/dev.txt
	$(LOCK) --extra local --constraints requirements/dev.txt --output-file requirements/demo.txt

clean:  ## Remove .venv and every cache
	rm -rf .venv .hypothesis .mypy_cache .ruff_cache .import_linter_cache .pytest_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
