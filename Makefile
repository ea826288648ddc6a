# Works with GNU make 3.81 and BSD tools. `make help` lists the targets.

VENV := .venv/bin
DEPLOY := .venv-deploy/bin
# Test processes: one per core; `make test JOBS=0` runs in one process, for a debugger.
JOBS ?= auto
TESTS ?= tests
DEPLOY_TESTS ?= tests/deploy

# What the demo and the tests talk to listens on loopback; a proxy has no business there.
comma := ,
loopback := 127.0.0.1,localhost,::1
no_proxy_all := $(loopback)$(if $(NO_PROXY),$(comma)$(NO_PROXY))$(if $(no_proxy),$(comma)$(no_proxy))
export NO_PROXY := $(no_proxy_all)
export no_proxy := $(no_proxy_all)

.PHONY: help demo test check format package template test-deploy checkov bench bench-backfill bench-cold-start proof lock clean

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

package:  ## Build the functions' archives into build/ (CONFIG=publisher.yaml puts it into each; needs Python 3.13)
	@.ci/venv-deploy
	@$(DEPLOY)/python -m infra.package $(if $(CONFIG),--config "$(CONFIG)")

template:  ## Compile serverless.yml into infra/aws/template.json, and docs/aws.md's tables (needs Node)
	@.ci/venv dev
	@[ -x node_modules/.bin/osls ] || npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@$(VENV)/python -m infra.aws.compile
	@$(VENV)/python -m infra.aws.tables

checkov:  ## Ask checkov about the templates and modules: nothing but what is explained (needs Python 3.13)
	@.ci/venv-deploy
	@.ci/venv-checkov
	@CHECKOV="$(CURDIR)/.venv-checkov/bin/checkov" $(DEPLOY)/python -m pytest -q tests/deploy -k checkov

test-deploy:  ## Run the archives under their real runtimes (needs Python 3.13 and Node)
	@.ci/venv-deploy runtimes
	@$(DEPLOY)/python -m tests.deploy.archives .
	@$(DEPLOY)/python -m pytest -q -n $(JOBS) --dist loadfile $(DEPLOY_TESTS)

bench:  ## Print the calls to the registry per event, beside what is promised
	@.ci/venv dev
	@$(VENV)/python -m tests.bench.call_counts

bench-backfill:  ## Print the backfill's calls, time and memory, beside their limits (2 min; fails where one is missed)
	@.ci/venv dev
	@$(VENV)/python -m tests.bench.backfill

bench-cold-start:  ## Print the Lambda's cold start, beside the same code packaged the default way (fails above half of it)
	@.ci/venv-deploy runtimes
	@$(DEPLOY)/python -m tests.deploy.cold_start

proof:  ## Print the figures of the proof: interleavings, faults, histories, outage, poison, the registry's honesty, its switches (an hour)
	@.ci/venv dev
	@for part in explore fault_play histories outage poison honesty switches; do $(VENV)/python -m tests.proof.$$part || exit 1; done

# No address of a package index, so any mirror serves.
PIN := uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header
# Universal: one file for all Pythons and systems.
LOCK := $(PIN) --universal --python-version 3.11 pyproject.toml requirements/lock.in
LOCK_DEPLOY := $(PIN) --universal --python-version 3.13 --constraints requirements/dev.txt
# What a function runs with: the versions that the tests run with, for the one machine that it runs on.
LOCK_FUNCTION := $(PIN) --python-version 3.13 --constraints requirements/dev.txt pyproject.toml

lock:  ## Pin and hash the newest dependencies (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: brew install uv, or pipx install uv."; exit 1; }
	$(LOCK) --extra dev --output-file requirements/dev.txt
	$(LOCK) --extra local --constraints requirements/dev.txt --output-file requirements/demo.txt
	$(PIN) --universal --python-version 3.13 requirements/checkov.in --output-file requirements/checkov.txt
	$(LOCK_DEPLOY) pyproject.toml requirements/lock.in --extra deploy --output-file requirements/deploy.txt
	for cloud in aws azure; do $(LOCK_DEPLOY) requirements/runtime-$$cloud.in \
		--output-file requirements/runtime-$$cloud.txt || exit 1; done
	$(LOCK_FUNCTION) --extra aws --python-platform aarch64-manylinux_2_34 --output-file functions/aws/requirements.txt
	$(LOCK_FUNCTION) --extra azure --python-platform x86_64-manylinux_2_28 --output-file functions/azure/requirements.txt
	$(LOCK_FUNCTION) --extra gcp --python-platform x86_64-manylinux_2_28 --output-file functions/gcp/requirements.txt

clean:  ## Remove .venv and every cache
	rm -rf .venv .venv-deploy .venv-checkov node_modules .hypothesis .mypy_cache .ruff_cache .import_linter_cache .pytest_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
