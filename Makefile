# Each target works from a fresh clone: Python 3.10..3.14 and a C++ compiler are all it needs.

VENV := .venv
BIN := $(VENV)/bin
OUT := out
IMAGES ?=
FUZZ_SECONDS ?= 300
GPU_OPTIONS ?=
SERVE_OPTIONS ?=
SOURCES := CMakeLists.txt benchmarks/decoder_probe.cpp $(shell find cmake csrc python -type f -not -name '*.pyc')

# Python remembers the compiler that it was built with, which need not be on this machine.
first = $(shell for name in $(1); do command -v $$name && break; done)
ifeq ($(origin CXX),default)
CXX := $(call first,c++ g++ clang++)
endif
ifeq ($(origin CC),default)
CC := $(call first,cc gcc clang)
endif
export CC CXX

SETUP := scripts/make-venv.sh scripts/find-python.sh scripts/system-packages.sh
DEMO_STAMP := $(VENV)/demo.stamp
SERVE_STAMP := $(VENV)/serve.stamp
DEV_STAMP := $(VENV)/dev.stamp
# What `make test` has built will do for the demo.
DEMO_BUILD := $(or $(wildcard $(DEV_STAMP)),$(DEMO_STAMP))
SERVE_BUILD := $(or $(wildcard $(DEV_STAMP)),$(SERVE_STAMP))

# Kernels for this machine's GPUs only; wheels have all architectures. The demo does without CUDA where there is no GPU.
$(DEMO_STAMP) $(SERVE_STAMP) $(DEV_STAMP): export FASTPRE_CUDA_ARCHITECTURES ?= native
# Benchmarks time parts of the decoders, through an extension that wheels do not have.
$(DEV_STAMP): export FASTPRE_BUILD_PROBE = ON
$(DEMO_STAMP) $(SERVE_STAMP): export FASTPRE_CUDA ?= $(if $(shell nvidia-smi -L 2>/dev/null | grep '^GPU'),AUTO,OFF)

.PHONY: help demo serve-demo test wheel lint sanitize kernels fuzz neon gpu gpu-tests gpu-sanitizer docs bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  IMAGES=folder: your own photographs, for demo, serve-demo and bench; SERVE_OPTIONS=--keep: serve-demo goes on until Ctrl-C"
	@echo "  PYTHON=/path/to/python3: for the first set-up"
	@echo "  FASTPRE_CUDA=AUTO|ON|OFF: compile the CUDA backend; AUTO: if there is nvcc (demo: and a GPU)"
	@echo "  FASTPRE_CUDA_ARCHITECTURES=all|native|\"80;90\": for which GPUs; native: this machine's (wheel: all)"

demo: $(DEMO_BUILD) ## Preprocess photographs, compare with torchvision, write out/
	@test -n "$(IMAGES)" -o -d $(OUT)/photographs || $(BIN)/python scripts/photographs.py $(OUT)/photographs
	$(BIN)/fastpre run "$(or $(IMAGES),$(OUT)/photographs)" -o $(OUT)/images.safetensors --preview $(OUT)/preview.png --compare

serve-demo: $(SERVE_BUILD) ## Start the server, send it photographs, print where the time goes, stop it
	@test -n "$(IMAGES)" -o -d $(OUT)/photographs || $(BIN)/python scripts/photographs.py $(OUT)/photographs
	$(BIN)/python scripts/serve-demo.py "$(or $(IMAGES),$(OUT)/photographs)" $(SERVE_OPTIONS)

test: $(DEV_STAMP) ## Build the extension and run the tests
	$(BIN)/python -m pytest -q tests

wheel: $(VENV)/venv.stamp ## Build a self-contained wheel into dist/, and try it in an empty environment
	scripts/build-wheel.sh $(VENV) dist

lint: $(DEV_STAMP) ## Check style, types and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python scripts/check-width.py README.md CHANGELOG.md CONTRIBUTING.md docs/*.md benchmarks/README.md fuzz/README.md
	$(BIN)/python scripts/check-includes.py
	@if git grep -niwIE '(no|some|any|every)body|whoever|he|his|him(self)?' -- ':!LICENSE' ':!Makefile' ':!docs/charts'; \
	then echo 'say what it is: a thread, a call, a decoder'; exit 1; fi
	find csrc tests/cpp fuzz benchmarks -name '*.h' -o -name '*.cpp' -o -name '*.cu' | xargs $(BIN)/clang-format --dry-run --Werror

sanitize: $(DEV_STAMP) ## Run C++ and Python tests under address, undefined-behaviour and thread sanitizers
	scripts/sanitize.sh $(BIN)

kernels: $(VENV)/venv.stamp ## Compile the CUDA kernels for every architecture (needs nvcc)
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake --preset architectures >/dev/null
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake --build --preset architectures

fuzz: $(DEV_STAMP) ## Fuzz the core for FUZZ_SECONDS (needs clang)
	scripts/fuzz.sh $(BIN) $(FUZZ_SECONDS)

neon: $(VENV)/venv.stamp ## Run the C++ tests for 64-bit ARM under QEMU (Debian)
	scripts/test-neon.sh $(BIN)

gpu: $(DEV_STAMP) ## Measure the CUDA backend on a GPU, into out/gpu; without one, what the emulator can show
	$(BIN)/python benchmarks/gpu.py --out $(OUT)/gpu $(GPU_OPTIONS)

gpu-tests: $(DEV_STAMP) ## Run the CUDA tests, on a GPU where there is one; `make gpu` reports them too
	$(BIN)/python -m pytest -q --junitxml=$(OUT)/gpu/tests.xml tests/cuda

gpu-sanitizer: $(DEV_STAMP) ## Run CUDA tests under compute-sanitizer on a GPU; `make gpu` reports it too
	scripts/gpu-sanitizer.sh $(BIN)/python $(OUT)/gpu

docs: $(DEV_STAMP) ## Write the API reference from the docstrings to out/api
	$(BIN)/pdoc -o $(OUT)/api --docformat google fastpre

bench: $(DEV_STAMP) ## Compare speeds with other libraries on this machine
	$(BIN)/fastpre bench $(if $(IMAGES),"$(IMAGES)")

clean: ## Remove everything that was built, downloaded or written
	rm -rf $(VENV) build dist $(OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Stamps: a second call installs nothing, unless a source or pyproject.toml has changed.
$(VENV)/venv.stamp: $(SETUP)
	@scripts/make-venv.sh $(VENV)
	@touch $@

$(DEMO_STAMP): $(VENV)/venv.stamp pyproject.toml $(SOURCES)
	@echo "compiling fastpre (a minute on two cores, the first time); installing torch, torchvision, Pillow (up to 3 GB) if they are missing"
	@$(BIN)/python scripts/install.py torch,preview
	@touch $@

$(SERVE_STAMP): $(VENV)/venv.stamp pyproject.toml $(SOURCES)
	@echo "compiling fastpre (a minute on two cores, the first time); installing torch, torchvision and what the server needs (up to 3 GB) if they are missing"
	@$(BIN)/python scripts/install.py torch,preview,serve
	@touch $@

$(DEV_STAMP): $(VENV)/venv.stamp pyproject.toml $(SOURCES)
	@echo "compiling fastpre (a minute on two cores, the first time); installing torch (up to 3 GB) and the tools of development if they are missing"
	@$(BIN)/python scripts/install.py dev
	@touch $@
