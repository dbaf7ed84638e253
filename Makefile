# make demo: trains an agent from pixels and shows the result.   make test: runs the tests.   make test-fast: without the slow ones.
# Both set up everything they need in .venv.

PYTHON ?= python3
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --dist worksteal
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-fast check pins docs benchmarks clean

demo: .venv/ready
	$(BIN)/python examples/demo.py

test: .venv/ready .venv/browser
	$(PYTEST)

test-fast: .venv/ready
	$(PYTEST) -m "not slow"

check: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
		&& $(BIN)/python -m build --no-isolation --outdir "$$folder" > "$$folder/log" \
		&& rm "$$folder/log" && $(BIN)/python -m twine check --strict "$$folder"/*

# All supported Pythons can install what constraints.txt pins.
pins: .venv/ready
	for version in 3.10 3.11 3.12 3.13; do \
		$(BIN)/uv pip compile --quiet --python-version $$version --all-extras --constraint constraints.txt pyproject.toml > /dev/null \
			|| exit 1; \
	done

docs: .venv/ready
	$(BIN)/python -m sphinx --fail-on-warning docs docs/_build

benchmarks: .venv/ready
	$(BIN)/python benchmarks/feature_points.py
	$(BIN)/python benchmarks/update.py
	$(BIN)/python benchmarks/stages.py
	$(BIN)/python benchmarks/acting.py
	$(BIN)/python benchmarks/rendering.py
	$(BIN)/python benchmarks/precision.py
	$(BIN)/python benchmarks/training.py --steps 16
	$(BIN)/python benchmarks/watching.py
	$(BIN)/python benchmarks/memory.py

# Without a display MuJoCo draws through EGL: if that is missing, Debian's packages bring it.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[viz,dev,docs,demo]"
	$(BIN)/python -c "import dm_control" 2> /dev/null \
		|| $(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps dm_control  # Python 3.13
	$(BIN)/python -c "from sb3_fpac.envs import choose_backend; choose_backend()" \
		|| (apt-get update --quiet && apt-get install --quiet --yes libegl1 libgl1-mesa-dri)
	touch $@

# The tests open reports in Chromium.
.venv/browser: .venv/ready
	command -v chromium || (apt-get update --quiet && apt-get install --quiet --yes chromium)
	touch $@

clean:
	rm -rf .venv build dist demo docs/_build
