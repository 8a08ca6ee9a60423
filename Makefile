# `make` alone lists the targets. All of them set up .venv first, once, out of environment.yml.

PYTHON ?= python3
BIN := .venv/bin
PYTEST = $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
# The pipeline says what it does itself
export MLFLOW_LOGGING_LEVEL ?= WARNING
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

run: .venv/ready ## Run the whole pipeline
	$(BIN)/mlflow run . --env-manager local

# Without the server's eight processes for jobs, which nothing here uses, it starts sooner and Ctrl-C
# ends it without tracebacks
ui: export MLFLOW_SERVER_ENABLE_JOB_EXECUTION = false
ui: .venv/ready ## Look at the runs in the browser
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db

test: .venv/ready ## Run the tests, two files at a time
	$(PYTEST) -m "not nightly"

test-fast: .venv/ready ## Run the tests that start few processes: one minute
	$(PYTEST) -m "not slow and not nightly"

test-nightly: .venv/ready ## Run what `make test` leaves out: clusters, conda, all packages, browser
	$(PYTEST) -m nightly

lint: export PYTHONPATH = src
lint: .venv/ready ## Check style, format, types, and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

benchmark: .venv/ready ## Measure what the template costs beside plain MLflow
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/reuse.py
	$(BIN)/python benchmarks/sweep.py forests 30
	$(BIN)/python benchmarks/batch.py 500000

clean-envs: .venv/ready ## Remove the environments that MLflow made for this project, after asking
	$(BIN)/python src/_utils/pipeline/environments.py

.venv/ready: environment.yml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(sed -n 's/^ *- \(uv==.*\)/\1/p' environment.yml)
	sed -n 's/^ *- \([^ ]*[=>]=.*\)/\1/p' environment.yml > .venv/requirements.txt
# uv takes a third of pip's time, but knows nothing of an index set in pip.conf
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r .venv/requirements.txt \
	|| $(BIN)/python -m pip install --quiet -r .venv/requirements.txt
	touch .venv/ready

.PHONY: help run ui test test-fast test-nightly lint benchmark clean-envs
