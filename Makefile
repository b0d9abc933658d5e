# The commands of this project. Each makes .venv if it is missing, and installs the package into it when a source is
# newer than what is installed there. Pass arguments to a command in ARGS:
#
#     make train ARGS="--epochs 2 --seed 1"
#     make test ARGS="-k conv2d"

PYTHON ?= python3
ARGS ?=
VENV ?= .venv
# The build of PyTorch for CPUs; the one on PyPI brings 3 GB of CUDA libraries along.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

BIN := $(VENV)/bin
# -P keeps this folder off sys.path: what runs is the installed package, not the sources beside it.
RUN := $(BIN)/python -P
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# The tests that also run on builds which look for errors of memory and for races of threads.
SANITIZED := $(CURDIR)/build/sanitized
KERNEL_TESTS := tests/check_sanitizers.py $(patsubst %,tests/test_%.py,activation adaptive_pool2d add arithmetic attention \
    augment avgpool2d batchnorm batchnorm_activation conv2d conv2d_algorithm conv2d_shapes conv_transpose2d cross_entropy dropout \
    groupnorm im2col interpolate join_rows layernorm layout linear local_response_norm matmul maxpool2d native native_arrays \
    norms_of_huge_values optimizer softmax steps_together winograd workspaces)
# 64-bit Arm, emulated: the same tests, and what is about its kernels alone.
ARM64_TESTS := $(filter-out tests/check_%,$(KERNEL_TESTS)) tests/test_machine.py tests/test_ten_steps.py tests/arm64/check_neon.py \
    $(addprefix tests/test_runtime.py::test_runtime_,kernels_flush_denormals_and_restore_the_mode \
    kernels_keep_the_rounding_of_their_caller flushing_can_be_switched_off every_isa_of_this_machine_is_tested)
# Not what is the same on every CPU: the kernels in plain C, which `make test-c` compares with loops.
ARM64_OWN := not baseline

SANITIZED_RUN := $(RUN) -m pytest -p no:cacheprovider -m "not slow and not torch and not torchvision" $(KERNEL_TESTS)

# Folders too: their time changes when a file comes or goes.
SOURCES := pyproject.toml setup.py $(shell find fastnn src_c -name __pycache__ -prune -o \
    \( -type d -o -name '*.py' -o -name '*.py[xdi]' -o -name '*.pxi' -o -name '*.[ch]' -o -name py.typed \) \
    ! -name _native.c -print)
C_SOURCES := $(shell find src_c tests/c -name '*.[ch]')
CYTHON_SOURCES := fastnn/_native.pyx $(wildcard fastnn/_bindings/*.pxi)

.DEFAULT_GOAL := help
.PHONY: help install docs linkcheck train test test-memory test-threads test-arm64 test-c test-clang test-windows build-macos test-torch test-torchvision wheel test-wheel lint format bench bench-torch bench-operations clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

$(VENV)/.created:
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	@touch $@

# Without build isolation the compiled objects in build/ are used again, and a rebuild takes seconds. build/lib* must go:
# setuptools would ship a module from there that the sources have lost.
$(VENV)/.installed: $(VENV)/.created $(SOURCES)
	$(PIP) install --group build
	rm -rf build/lib* build/bdist*
	$(PIP) install --no-build-isolation .
	@touch $@

$(VENV)/.test-tools: $(VENV)/.created pyproject.toml
	$(PIP) install --group test
	@touch $@

$(VENV)/.lint-tools: $(VENV)/.created pyproject.toml
	$(PIP) install --group lint
	@touch $@

$(VENV)/.docs-tools: $(VENV)/.created pyproject.toml
	$(PIP) install --group docs
	@touch $@

$(VENV)/.torch: $(VENV)/.created
	$(PIP) install torch==2.13.0 --extra-index-url $(TORCH_INDEX)
	@touch $@

$(VENV)/.wheel-tools: $(VENV)/.created pyproject.toml
	$(PIP) install --group wheel
	@touch $@

docs: $(VENV)/.installed $(VENV)/.docs-tools  ## build the documentation site into docs/_build/html, running the code of every page
	rm -rf docs/_build docs/gallery_pages docs/reference/generated
	started=$$(date +%s) && \
	    $(RUN) -m sphinx --builder html --jobs auto --fail-on-warning --keep-going --quiet $(ARGS) docs docs/_build/html && \
	    $(RUN) docs/_ext/check_site.py docs/_build/html $$started

linkcheck: $(VENV)/.installed $(VENV)/.docs-tools  ## ask the network whether the links out of the documentation still lead somewhere
	$(RUN) -m sphinx --builder linkcheck --define nb_execution_mode=off --define plot_gallery=0 --quiet $(ARGS) docs docs/_build/linkcheck

install: $(VENV)/.installed  ## install the package into .venv

train: $(VENV)/.installed  ## train the default recipe: on CIFAR-10 if it can be had, else on the built-in shapes
	$(RUN) -m fastnn train --dataset auto $(ARGS)

test: $(VENV)/.installed $(VENV)/.test-tools  ## run all tests (but the comparison with PyTorch)
	$(RUN) -m pytest -m "not torch and not torchvision" $(ARGS)

$(SANITIZED)/memory/.built: FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all
$(SANITIZED)/threads/.built: FLAGS := -fsanitize=thread
$(SANITIZED)/memory/.built $(SANITIZED)/threads/.built: $(VENV)/.installed
	CFLAGS="-O1 -g1 -fno-omit-frame-pointer -fasynchronous-unwind-tables $(FLAGS)" LDFLAGS="$(FLAGS)" FASTNN_WERROR=0 \
	    $(BIN)/python setup.py --quiet build --build-base $(@D)/objects --build-lib $(@D)/lib
	@touch $@

test-memory: $(SANITIZED)/memory/.built $(VENV)/.test-tools  ## look for errors of memory and undefined behaviour
	PYTHONPATH=$(<D)/lib LD_PRELOAD="$$($(CC) -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0 FASTNN_MALLOC=1 \
	    $(SANITIZED_RUN) $(ARGS)

test-threads: $(SANITIZED)/threads/.built $(VENV)/.test-tools  ## look for races between threads
	rm -f $(<D)/race.*
	PYTHONPATH=$(<D)/lib LD_PRELOAD="$$($(CC) -print-file-name=libtsan.so)" OPENBLAS_NUM_THREADS=1 \
	    TSAN_OPTIONS="halt_on_error=1 log_path=$(<D)/race" $(SANITIZED_RUN) -k thread $(ARGS) || (cat $(<D)/race.*; false)

test-arm64: $(VENV)/.installed $(VENV)/.test-tools  ## build for 64-bit Arm, and test the kernels on an emulated CPU
	sh tests/arm64/prepare.sh $(BIN)/python
	$(RUN) -m pytest -p no:cacheprovider tests/arm64/check_instructions.py
	HYPOTHESIS_PROFILE=emulated build/arm64/python -P -m pytest -p no:cacheprovider \
	    -m "not slow and not torch and not torchvision" -k "$(ARM64_OWN)" $(ARM64_TESTS) $(ARGS)

# A program in C (tests/c) compares every operation with plain loops; it is built for several systems.
C_TESTS := $(CURDIR)/build/c_tests
BUILD_C_TESTS := $(BIN)/python tests/c/build.py
ZIG := $(CURDIR)/$(BIN)/python -m ziglang cc
# Where packages are that could only be unpacked.
TOOLS := $(CURDIR)/build/tools
TOOL_PATHS := PATH="$$PATH:$(TOOLS)/usr/bin:$(TOOLS)/usr/lib/llvm-14/bin:/usr/lib/wine:$(TOOLS)/usr/lib/wine" \
    LD_LIBRARY_PATH="$(TOOLS)/usr/lib/x86_64-linux-gnu:$(TOOLS)/usr/lib/llvm-14/lib:$$LD_LIBRARY_PATH"
OPENMP ?= -fopenmp
CLANG ?= clang
CLANG_BUILD := $(CURDIR)/build/clang
CLANG_TESTS := $(patsubst %,tests/test_%.py,activation arena batchnorm conv2d matmul native runtime winograd workspaces)

$(VENV)/.build-tools: $(VENV)/.created pyproject.toml
	$(PIP) install --group build
	@touch $@

$(VENV)/.cross-tools: $(VENV)/.build-tools
	$(PIP) install --group cross || { echo "make: ziglang cannot be had; is there a network?" >&2; exit 75; }
	@touch $@

test-c: $(VENV)/.build-tools  ## run every kernel against plain loops, in C
	$(BUILD_C_TESTS) $(C_TESTS)/native $(CC) $(OPENMP)
	$(C_TESTS)/native/kernels --mutants

test-clang: $(VENV)/.build-tools $(VENV)/.installed $(VENV)/.test-tools  ## build with Clang, and run some tests of the kernels
	export $(TOOL_PATHS); echo "#include <omp.h>" | $(CLANG) -fopenmp -x c -fsyntax-only - 2>/dev/null || \
	    tests/c/install_packages.sh $(TOOLS) clang libomp-dev
	export $(TOOL_PATHS); CC=$(CLANG) FASTNN_WERROR=1 $(BIN)/python setup.py --quiet build \
	    --build-base $(CLANG_BUILD)/objects --build-lib $(CLANG_BUILD)/lib
	readelf --dynamic $(CLANG_BUILD)/lib/fastnn/_native*.so | grep -q libomp  # that of Clang
	export $(TOOL_PATHS); PYTHONPATH=$(CLANG_BUILD)/lib $(RUN) -m pytest -q -p no:cacheprovider \
	    -m "not slow and not torch and not torchvision" $(CLANG_TESTS) $(ARGS)

test-windows: $(VENV)/.cross-tools  ## build the program of test-c for Windows, and run it under Wine
	$(BUILD_C_TESTS) --architecture x86_64 --program kernels.exe --is "PE x86_64" $(C_TESTS)/windows \
	    $(ZIG) -target x86_64-windows-gnu
	export $(TOOL_PATHS); command -v wine64 >/dev/null || tests/c/install_packages.sh $(TOOLS) wine64
	# Not in this folder: Wine makes a link to the root of the file system, which setuptools would follow.
	export $(TOOL_PATHS) WINEPREFIX="$$(mktemp -d)" WINEDEBUG=-all; wine64 $(C_TESTS)/windows/kernels.exe; code=$$?; \
	    rm -rf "$$WINEPREFIX"; exit $$code

build-macos: $(VENV)/.cross-tools  ## build the program of test-c for macOS on both architectures
	$(BUILD_C_TESTS) --architecture arm64 --is "Mach-O arm64" $(C_TESTS)/macos_arm64 $(ZIG) -target aarch64-macos
	$(BUILD_C_TESTS) --architecture x86_64 --is "Mach-O x86_64" $(C_TESTS)/macos_x86_64 $(ZIG) -target x86_64-macos

test-torch: $(VENV)/.installed $(VENV)/.test-tools $(VENV)/.torch  ## compare with PyTorch, which this installs
	$(RUN) -m pytest -m torch $(ARGS)

test-torchvision: $(VENV)/.installed $(VENV)/.test-tools $(VENV)/.torch  ## compare with torchvision, which this installs
	$(PIP) install torch==2.13.0 torchvision --extra-index-url $(TORCH_INDEX)
	$(RUN) -m pytest -m torchvision $(ARGS)

wheel: $(VENV)/.wheel-tools  ## build the wheel into dist/, check it, and put what it needs into dist/repaired/ (Linux)
	rm -rf build/lib* build/bdist* dist
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	$(BIN)/check-wheel-contents dist
	$(BIN)/abi3audit --strict --assume-minimum-abi3 3.11 dist/*.whl
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist/repaired dist/*.whl
	ls -l dist/*.whl dist/repaired/*.whl

# A wheel alone, in an environment of its own, into which nothing is compiled.
test-wheel: wheel  ## install that wheel into an empty environment and run some of the tests there
	$(PYTHON) -m venv --clear build/test-wheel
	build/test-wheel/bin/python -m pip --quiet install --upgrade "pip>=25.1"
	build/test-wheel/bin/python -m pip --quiet install --only-binary :all: dist/repaired/*.whl --group test-wheel
	build/test-wheel/bin/python -P -m pytest -p no:cacheprovider @tests/of_a_wheel.txt $(ARGS)

lint: $(VENV)/.installed $(VENV)/.lint-tools  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typed_user.py
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint $(CYTHON_SOURCES)
	$(BIN)/clang-format --dry-run -Werror $(C_SOURCES)

format: $(VENV)/.lint-tools  ## let the formatters rewrite the sources
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_SOURCES)

bench: $(VENV)/.installed  ## time every direction and algorithm of conv2d
	$(BIN)/python benchmarks/bench_conv2d.py $(ARGS)

bench-torch: $(VENV)/.installed $(VENV)/.torch  ## time training steps side by side with PyTorch, which this installs
	$(BIN)/python benchmarks/compare_torch.py $(ARGS)

bench-operations: $(VENV)/.installed $(VENV)/.torch  ## time single operations side by side with PyTorch
	$(BIN)/python benchmarks/compare_torch_operations.py $(ARGS)

clean:  ## remove everything that was built, .venv too
	rm -rf $(VENV) build dist *.egg-info fastnn/_native.c fastnn/_native*.so
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
