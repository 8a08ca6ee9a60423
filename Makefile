# Short names for `python tasks.py ...`, which works without make. `make` alone lists them

PYTHON ?= python3
TASKS := setup run ui test test-fast test-nightly lint benchmark clean-envs

help $(TASKS):
	@$(PYTHON) tasks.py $@

.venv/ready: setup

# Side by side, two tasks would both set up .venv
.NOTPARALLEL:
.PHONY: help $(TASKS) .venv/ready
