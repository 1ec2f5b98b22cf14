# `make demo` and `make test` work on a fresh clone with Python 3.11 and nothing installed.
PYTHON ?= python3
BIN := .venv/bin
# A file's tests stay in one process, which has one thread a library.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile
INSTALLED := .venv/installed

.PHONY: demo test check install clean

demo: $(INSTALLED)
	$(BIN)/lookreel demo

test: $(INSTALLED)
	$(PYTEST)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[cpu,embed,judge,train,report,redis,ray,milvus,dev]'
	touch $(INSTALLED)

clean:
	rm -rf .venv build dist *.egg-info demo
