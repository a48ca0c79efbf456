# SPDX-License-Identifier: GPL-2.0
# What can be made, and with what: `make help`. Everything that is built lies under build/.

prefix ?= /usr
DESTDIR ?=
BUILD := $(CURDIR)/build

# Headers that are installed: of the running kernel, else of every kernel that is supported.
headers = $(wildcard /lib/modules/$(1)/build/Makefile /usr/src/linux-headers-$(1)/Makefile)
running := $(shell uname -r)
supported := $(sort $(patsubst /usr/src/linux-headers-%/Makefile,%,\
	$(filter-out %-common/Makefile,$(wildcard /usr/src/linux-headers-6.1.*/Makefile /usr/src/linux-headers-6.12.*/Makefile))))
KVER ?= $(if $(call headers,$(running)),$(running),$(supported))
kernels := $(KVER)

# Building for 6.12 with BTF wants pahole and a vmlinux; without either the module goes without BTF.
kbuild_flags := CONFIG_DEBUG_INFO_BTF_MODULES=
root := $(shell test "$$(id -u)" = 0 && test -e /etc/debian_version && echo yes)

.PHONY: all help modules command install uninstall check check-host check-guests check-build check-unit check-core check-sim \
	check-crash check-fuzz check-explore check-model check-mutants check-uml check-vm check-vm-all sim mutants coverage soak bench \
	demo lab packages sparse clean

all: modules command

help:
	@echo 'make [KVER=RELEASE]     module for the running kernel (else for all supported headers) and command'
	@echo 'make modules KDIR=DIR   module for the kernel whose headers or build are in DIR'
	@echo 'make install            module, command, manual pages, units, completion [DESTDIR= prefix=]'
	@echo 'make check              everything below that begins with check-, two lanes side by side'
	@echo 'make check-core | check-build | check-unit | check-sim | check-crash | check-fuzz | check-explore | check-model'
	@echo 'make check-mutants | check-uml | check-vm [RUN="NAME ..."] | check-vm-all'
	@echo 'make sim SEED=n | SEEDS=a..b | STORY=name     the simulator'
	@echo 'make mutants | coverage [MISSING=1] | soak HOURS=n        longer lanes: docs/testing.md'
	@echo 'make bench [BENCH="--quick ..."]     speed, beside others: docs/performance.md'
	@echo 'make demo | lab | sparse | clean'

# ---- module ----

# Kbuild writes beside the sources, so every kernel gets a copy of them of its own, and sparse another, which leaves alone the
# module that guests are booting; cp -u keeps it incremental. Two lanes of `make check` may ask for the same at once: one at a time.
define build_module
	@test -n '$(2)' || { echo 'no kernel headers here: apt-get install linux-headers-amd64' >&2; exit 1; }
	@mkdir -p $(BUILD)/$(1)
	+@flock $(BUILD)/$(1) sh -c 'cp -Rup kernel Kbuild $(BUILD)/$(1)/ && $(MAKE) -C $(2) M=$(BUILD)/$(1) $(kbuild_flags) $(3) modules'
endef
kernel_dir = $(firstword $(dir $(call headers,$(1))))

ifdef KDIR
kernels := $(shell $(MAKE) -s -C $(KDIR) kernelrelease 2>/dev/null)
kernel_dir = $(KDIR)
endif

modules: $(kernels:%=module-%)
	@test -n '$(kernels)' || { echo 'no kernel headers here: apt-get install linux-headers-amd64' >&2; exit 1; }

module-%: FORCE
	$(call build_module,kmod-$*,$(call kernel_dir,$*),)

sparse: $(kernels:%=sparse-%)

sparse-%: FORCE
	$(call build_module,sparse-$*,$(call kernel_dir,$*),W=1 C=2)

FORCE:

# ---- command ----

command:
	@mkdir -p $(BUILD)/user
	+flock $(BUILD)/user $(MAKE) -C user BUILD=$(BUILD)

# ---- install ----

install: all
	for release in $(kernels); do \
		install -D -m 0644 $(BUILD)/kmod-$$release/braid.ko \
			$(DESTDIR)/lib/modules/$$release/extra/braid.ko && \
		{ test -n '$(DESTDIR)' || depmod $$release; } || exit 1; \
	done
	+$(MAKE) -C user BUILD=$(BUILD) DESTDIR=$(DESTDIR) PREFIX=$(prefix) install

uninstall:
	for release in $(kernels); do \
		rm -f $(DESTDIR)/lib/modules/$$release/extra/braid.ko && \
		{ test -n '$(DESTDIR)' || depmod $$release; } || exit 1; \
	done
	+$(MAKE) -C user BUILD=$(BUILD) DESTDIR=$(DESTDIR) PREFIX=$(prefix) uninstall

# ---- tests ----

# As root on Debian what is missing gets installed; elsewhere the tools that are missing are named by their users.
packages:
	$(if $(root),scripts/install-packages build test lab uml)

# Guests wait most of the time; the rest computes beside them, and gives way.
check: packages
	+$(MAKE) -k -j2 check-guests check-host

check-guests: check-vm

host_steps := check-core check-build check-unit check-sim check-crash check-explore check-model check-fuzz check-uml check-mutants

check-host:
	+nice -n 10 $(MAKE) -k -j1 $(host_steps)

check-build: command
	scripts/check-build

check-core:
	scripts/check-core
	scripts/check-tables
	scripts/check-netlink-spec

check-unit:
	+$(MAKE) -C tests/unit BUILD=$(BUILD) check
	+$(MAKE) -C user BUILD=$(BUILD) check

check-sim:
	+$(MAKE) -C tests/sim BUILD=$(BUILD) check

check-crash:
	+$(MAKE) -C tests/crash BUILD=$(BUILD) check

check-explore:
	+$(MAKE) -C tests/explore BUILD=$(BUILD) check
	+$(MAKE) -C tests/explore BUILD=$(BUILD) mutants

check-model:
	tests/model/run

check-fuzz:
	+$(MAKE) -C tests/fuzz BUILD=$(BUILD) check SECONDS=4

check-mutants:
	tests/mutants/run --build $(BUILD)
	tests/mutants/run --build $(BUILD) --marks

check-uml: command
	tests/uml/run --short

sim:
	+$(MAKE) -C tests/sim BUILD=$(BUILD) $(BUILD)/sim/sim
	$(BUILD)/sim/sim $(if $(STORY),STORY=$(STORY),$(if $(SEED),SEED=$(SEED),SEEDS=$(or $(SEEDS),1..2000)) $(if $(NODES),NODES=$(NODES)) $(if $(STEPS),STEPS=$(STEPS)))

mutants: check-mutants
	tests/mutants/run --build $(BUILD) --table >docs/mutants.md

coverage:
	BUILD=$(BUILD) tests/coverage/run $(if $(MISSING),--missing)

# Against DRBD 8.4, md over nvme-tcp and nvme-tcp alone, on guests: docs/performance.md. BENCH: its options.
bench: packages
	scripts/install-packages bench
	+$(MAKE) command
	+$(MAKE) modules KVER='$(lastword $(supported))'
	scripts/bench $(BENCH)

soak: packages
	scripts/soak $(or $(HOURS),2)

# The lab boots 6.1 and 6.12, whatever runs here. In `make check` fewer rounds of what is random, and the base of it on 6.1;
# check-vm RUN=...: those tests at their full length; check-vm-all: all of them, on both kernels.
short_rounds := ROUNDS=2 FLAPS=15 CYCLES=20
short_tests := 1[0-9][0-9]-* 2[0-9][0-9]-*

check-vm: command
	+$(MAKE) modules KVER='$(supported)'
	$(if $(RUN),tests/vm/run -k 6.12 $(RUN),$(short_rounds) tests/vm/run -k 6.12 '$(firstword $(short_tests))' '$(lastword $(short_tests))')
	$(if $(RUN),,$(short_rounds) tests/vm/run -k 6.1 100-smoke 130-both-powercut)

check-vm-all: command
	+$(MAKE) modules KVER='$(supported)'
	tests/vm/run -k all --long

demo: packages
	+$(MAKE) command
	+$(MAKE) modules KVER='$(supported)'
	scripts/demo

lab: packages
	+$(MAKE) command
	+$(MAKE) modules KVER='$(supported)'
	scripts/lab-interactive $(LAB)

# ---- ----

clean:
	rm -rf $(BUILD)
