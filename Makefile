# make study   run the main study and say where its report lies
# make test    check style, types, layers and behaviour, in minutes
# make test-kills  four kinds of studies whose driver is killed while it works, once each, in minutes
# make test-slow  the tests that make test has no time for: every shipped study, every kill test, simulations
# make coverage   how much of the code the tests reach that take less than a minute each; fails below the floor
# All set up .venv from requirements.lock first, when it is not there or out of date.

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
READY := .venv/.ready

# A test run starts dozens of processes: none of them should compile the package and the tests anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: study test pytest test-kills test-slow coverage lint setup lowest browser clean

study: $(READY)
	$(BIN)/python -m fgtune.run studies/kf_sensitivity.yaml

# Side by side: mypy takes one core for most of a minute.
test: $(READY)
	$(MAKE) --no-print-directory -j2 lint pytest

pytest: $(READY) browser
	$(BIN)/pytest -n $(WORKERS)

test-kills: $(READY)
	$(BIN)/pytest -n $(WORKERS) -m "kill and not slow"

test-slow: $(READY) browser
	$(BIN)/pytest -n $(WORKERS) -m slow --timeout 1800

# Tracing every line takes two thirds longer in plain Python code, which `make test` cannot afford. The floor is in pyproject.toml.
coverage: $(READY) browser
	$(BIN)/pytest -n $(WORKERS) -m "not long and not gpu" --timeout 900 --cov --cov-report=
	$(BIN)/coverage report --sort=cover --fail-under=0 | awk 'NR < 23 || /^TOTAL/'

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

setup: $(READY)

# In place of the locked versions the lowest that pyproject.toml allows, to run `make pytest` with; `make clean` goes back.
lowest:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "$$(grep '^uv==' requirements.lock)"
	$(BIN)/uv pip compile --quiet pyproject.toml --extra singlecell --extra timm --resolution lowest-direct -o .venv/lowest.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirements .venv/lowest.txt --group dev
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(READY)

# Bytecode is compiled once here: where Python may not write it later, every process would compile torch and ray anew.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "$$(grep '^uv==' requirements.lock)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirements requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q -j 0 .venv/lib fgtune >/dev/null 2>&1 || true
	touch $(READY)

browser:
	sh .ci/browser

clean:
	rm -rf .venv
