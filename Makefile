# Two commands: `make demo` walks the whole road, `make test` proves it. Both set everything up first.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS ?= train,export,tensorrt,serve,dev

.PHONY: demo test setup clean

demo: setup
	$(BIN)/python cli.py demo

test: setup
	scripts/check
	scripts/test

setup: .venv/installed

# Installed again whenever what is asked for changes.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info
