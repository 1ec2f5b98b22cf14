# `make demo` and `make test` work on a fresh clone with Python 3.11 and nothing installed.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo test check install clean

demo: $(INSTALLED)
	$(BIN)/lookreel demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[cpu,embed,judge,train,report,redis,ray,milvus,dev]'
	touch $(INSTALLED)

clean:
	rm -rf .venv build dist *.egg-info demo
