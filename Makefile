# ntmm: verbs. `make` builds everything into build/; `make run` runs a sample driver; `make check` tests.
BUILD ?= build
JOBS  ?= $(shell nproc 2>/dev/null || echo 2)
CMAKE  = cmake -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo

.PHONY: all deps build run check bench fuzz install clean format

all: build

deps:
	@sh tools/install-deps.sh

build: deps
	@[ -f $(BUILD)/build.ninja ] || $(CMAKE) -S . -B $(BUILD) > /dev/null
	@ninja -C $(BUILD) -j $(JOBS) --quiet

# A sample driver, compiled to a PE image by the cross compiler, on the hosted machine.
run: build
	@$(BUILD)/ntmm run $(BUILD)/samples/tour.sys

# Every test: kernel tests sanitized, black-box drivers, command line, headers, layers. T=word filters.
check: build
	@BUILD=$(BUILD) JOBS=$(JOBS) T='$(T)' sh test/check.sh

# Page frames and pools, counted and timed, beside other allocators, and the rows that need a kernel, counted in QEMU.
# ONLY='count time waste boot kernel linux': some of it.
bench: build
	@BUILD=$(BUILD) sh bench/run.sh

# The reader of .reg files and the PE loader under libFuzzer, for SECONDS each.
fuzz: deps
	@BUILD=$(BUILD) sh test/fuzz/fuzz.sh $(or $(SECONDS),60)

install: build
	@cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

clean:
	@rm -rf $(BUILD)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i
