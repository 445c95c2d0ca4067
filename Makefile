# Two commands: `make demo` walks the whole road, `make test` proves it. Both set everything up first.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS ?= train,export,tensorrt,serve,dev

.PHONY: demo test docs setup clean

demo: setup
	$(BIN)/python cli.py demo

test: setup
	scripts/check
	scripts/test

# The documentation as a web site, in site/.
docs: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "site/index.html"

setup: .venv/installed

# Installed again whenever what is asked for changes.
.venv/installed: pyproject.toml constraints.txt
	test -e .venv || { $(PYTHON) -m venv .venv && echo "made by make setup" > .venv/ganfoundry; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

clean:
	scripts/clean
