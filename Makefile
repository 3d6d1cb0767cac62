BIN ?= .venv/bin

.PHONY: check format

check:
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest

format:
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
