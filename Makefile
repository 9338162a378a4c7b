# ntmm: verbs. `make` builds everything into build/; `make run` runs a sample driver; `make check` tests.
BUILD ?= build
JOBS  ?= $(shell nproc 2>/dev/null || echo 2)
CMAKE  = cmake -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo

.PHONY: all iso stress boots deps build run check sim bench fuzz install clean format

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

# Seeded runs of a whole machine under a mixed workload, with memory refused. SEEDS=n FIRST=n; SEED=n PLAN='...': one run.
sim: build
	@BUILD=$(BUILD) JOBS=$(JOBS) perl test/sim/sim.pl SEEDS='$(SEEDS)' FIRST='$(FIRST)' BUG='$(BUG)' PLAN='$(PLAN)' $(if $(SEED),SEED=$(SEED))

# Page frames and pools, counted and timed, beside other allocators, and the rows that need a kernel, counted in QEMU.
# ONLY='count time waste boot kernel linux': some of it.
bench: build
	@BUILD=$(BUILD) sh bench/run.sh

# A CD image that GRUB boots on a PC, with DRIVERS="a.sys b.sys" packed into it.
ISO ?= $(BUILD)/ntmm.iso
iso: build
	@sh tools/mkiso.sh $(BUILD)/ntmm-amd64 $(ISO) $(or $(DRIVERS),$(BUILD)/samples/hello.sys)
	@echo $(ISO)

# Everything at once in QEMU, for SECONDS (60) on 1, 2 and 4 PROCESSORS; then with a mistake that must be found.
stress: build
	@KERNEL=$(BUILD)/kernel-tests-amd64 SECONDS_EACH=$(or $(SECONDS),60) $(if $(PROCESSORS),PROCESSORS='$(PROCESSORS)') \
	    sh test/boot/stress.sh

# N boots in a row (100).
boots: build
	@KERNEL=$(BUILD)/ntmm-amd64 DRIVER=$(BUILD)/samples/hello.sys N=$(or $(N),100) sh test/boot/boots.sh

# The reader of .reg files and the PE loader under libFuzzer, for SECONDS each.
fuzz: deps
	@BUILD=$(BUILD) sh test/fuzz/fuzz.sh $(or $(SECONDS),60)

install: build
	@cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

clean:
	@rm -rf $(BUILD)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i
