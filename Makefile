# Each target works from nothing: it makes its own virtual environment in .venv.
PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
PY := $(VENV)/bin/python
# Python files are live (an editable install), but for new packages; C++ is compiled when it changes.
SOURCES := pyproject.toml CMakeLists.txt \
	$(wildcard $(addprefix src/softmaxloss/,kernels/cpu/*.cpp kernels/cpu/*.h */__init__.py */*/__init__.py))

# The number of random calls that each build of tests/sanitize makes.
CALLS ?= 1000000
# How long `make fuzz` makes calls, and from which seed on.
MINUTES ?= 5
SEED ?= 1
# The Pythons that `make wheels` builds for and tries, if they are installed.
PYTHONS ?= python3.11 python3.12 python3.13 python3.14 python3.14t
# Tests run in one process more than there are processors (tests/conftest.py), at most 8, as each loads
# PyTorch; JOBS=0: in one process.
JOBS ?= auto
PYTEST := $(PY) -m pytest --numprocesses $(JOBS) --maxprocesses 8 --dist loadgroup

.PHONY: run test test-slow test-oldest recipes sanitize fuzz portability wheels lint format bench conformance clean

run: $(VENV)/package
	@$(PY) examples/tour.py

test: $(VENV)/package $(VENV)/test
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/package $(VENV)/test
	$(PYTEST) -m slow

# With the oldest packages that pyproject.toml allows, in an environment of its own.
test-oldest:
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(OLDEST)/bin/python -m tools.oldest > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(OLDEST)/constraints.txt ".[parquet,plots,dask]"
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(OLDEST)/constraints.txt --group oldest
	$(OLDEST)/bin/python -m pytest -m "not slow" --numprocesses $(JOBS) --maxprocesses 8 --dist loadgroup tests \
		--ignore tests/check_of_jax.py

# Apart from `make test`: transformers and lightning bring 200 MB and some thirty other packages.
recipes: $(VENV)/package $(VENV)/test $(VENV)/recipes
	$(PYTEST) tests/test_recipes_trainers.py

sanitize:
	$(MAKE) -C tests/sanitize CALLS=$(CALLS)

fuzz: $(VENV)/package $(VENV)/test
	$(PY) -m tests.fuzz --minutes $(MINUTES) --seed $(SEED)

# Needs qemu-user and, of each processor, g++-…-linux-gnu (Debian's names).
portability: CALLS := 20000
portability:
	$(MAKE) -C tests/sanitize portability CALLS=$(CALLS) SEED=$(SEED)

wheels: $(VENV)/python
	$(PY) -m tools.wheels $(PYTHONS)

lint: $(VENV)/package $(VENV)/test $(VENV)/lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/clang-format --dry-run --Werror src/softmaxloss/kernels/cpu/*.cpp src/softmaxloss/kernels/cpu/*.h tests/sanitize/*.cpp tests/sanitize/*.h

format: $(VENV)/lint
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/clang-format -i src/softmaxloss/kernels/cpu/*.cpp src/softmaxloss/kernels/cpu/*.h tests/sanitize/*.cpp tests/sanitize/*.h

bench: $(VENV)/package $(VENV)/test $(VENV)/bench
	$(PY) -m benchmarks

conformance: $(VENV)/package $(VENV)/test $(VENV)/bench
	$(PY) -m conformance

clean:
	rm -rf $(VENV) $(OLDEST) build dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis

# --- the virtual environment, one stamp file per group of packages ---------------------------
$(VENV)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "softmaxloss needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

$(VENV)/package: $(VENV)/python $(SOURCES)
	$(PY) -m pip install --quiet --group examples --editable .
	@touch $@

$(VENV)/test $(VENV)/recipes $(VENV)/lint $(VENV)/bench: $(VENV)/%: $(VENV)/python pyproject.toml
	$(PY) -m pip install --quiet --group $*
	@touch $@
