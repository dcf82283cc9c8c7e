# The two commands of the README: `make demo` and `make test`. Both make the environment first if need be.
#
# `make env` installs the CPU build of torch where pip can find one. On Linux, PyPI's own torch brings CUDA with it;
# for the small CPU build set PIP_EXTRA_INDEX_URL to PyTorch's CPU index (https://pytorch.org/get-started/locally).

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.groundup-installed
RUN ?= demo-run

.PHONY: env demo test slow torture fuzz lint format docs examples site clean

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[databases,cluster,references,notebooks,docs]' --group dev
	touch $(STAMP)

demo: env
	$(BIN)/groundup demo --out $(RUN)

test: env
	$(BIN)/python -m pytest -n auto --dist loadfile

slow: env
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow

# kills a small run 500 times and compares what it leaves, byte for byte
torture: env
	$(BIN)/python tests/faults/torture.py --kills 500

# loads 10,000 mutated files of a run: an error of ours each time, or data
fuzz: env
	$(BIN)/python tests/faults/fuzz.py --mutations 10000

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: env
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_diagnosis.py
	$(BIN)/python tests/faults/rows.py
	$(BIN)/python docs/make_examples.py --code

# trains the small run that the chapters look at, and puts the output of every command and its pictures into the pages
examples: env
	$(BIN)/python docs/make_examples.py

# the documentation as a site, in build/site; nothing in it is loaded from elsewhere
site: env
	PYTHONPATH=docs $(BIN)/python -m zensical build --strict

clean:
	rm -rf .venv demo-run demo-run-documents dist build .pytest_cache .ruff_cache
