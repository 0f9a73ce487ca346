# edge-healer — everything is built out of tree in build/<VARIANT>/
#
#   make            the binary: build/release/edge-healer
#   make demo       three nodes on this machine, a loss, a recovery, a timeline (KEEP=1 leaves it running)
#   make check      what is quick of them: build, lint of what changed, unit tests; under a minute when little has changed
#   make test       all tests: lint, gcc and clang, unit, integration, end to end, ASan and UBSan
#   make help       the rest
VARIANT ?= release
CC_release = gcc
CC_clang = clang
CC_asan = gcc
CC_ubsan = gcc
CC_cov = gcc
CC_fuzz = clang
ifeq ($(origin CC),default)
CC := $(CC_$(VARIANT))
endif
Q := $(if $(V),,@)
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= /usr/bin/python3
B := build/$(VARIANT)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0)

PKGS := libcurl json-c sqlite3 libevent_core libmicrohttpd yaml-0.1 libssl libcrypto libnftables
LIBS = $(shell pkg-config --libs $(PKGS)) -lmsgpackc -lm
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
	-Wconversion -Wno-sign-conversion -Wpointer-arith -Wcast-qual -Wno-cast-qual -fno-common
WERROR ?= $(if $(CI),-Werror,)
HARDEN_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE -fstack-clash-protection -fcf-protection
HARDEN_clang := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
HARDEN_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
HARDEN_ubsan := -O1 -g -fsanitize=undefined -fno-sanitize-recover=all
HARDEN_cov := -O0 -g --coverage
HARDEN_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
LINK_release := -pie -Wl,-z,relro -Wl,-z,now -Wl,--as-needed
LINK_clang := $(LINK_release)
LINK_asan := -fsanitize=address,undefined
LINK_ubsan := -fsanitize=undefined
LINK_cov := --coverage
LINK_fuzz := -fsanitize=fuzzer,address,undefined
CPPFLAGS += -Iinclude -Isrc -D_GNU_SOURCE $(PKG_CFLAGS)
CFLAGS_ALL = -std=gnu11 $(WARN) $(WERROR) $(HARDEN_$(VARIANT)) $(CFLAGS)

SRCS := $(sort $(wildcard src/*/*.c))
OBJS := $(SRCS:%.c=$(B)/%.o)
LIB_OBJS := $(filter-out $(B)/src/cli/main.o,$(OBJS))
LIB := $(B)/libedge-healer.a
BIN := $(B)/edge-healer

# test/<room>/test_*.c: one program each; the other .c files of that folder are linked into all of them
TEST_SRCS := $(sort $(wildcard test/*/test_*.c))
TEST_BINS := $(TEST_SRCS:test/%.c=$(B)/test/%)
TEST_HELPERS := $(sort $(filter-out $(TEST_SRCS) $(wildcard test/fuzz/*.c) $(wildcard test/bench/*.c) $(wildcard test/sim/*.c),$(wildcard test/*/*.c)))
TEST_HELPER_OBJS := $(TEST_HELPERS:%.c=$(B)/%.o)
FUZZ_SRCS := $(sort $(wildcard test/fuzz/fuzz_*.c))
FUZZ_BINS := $(FUZZ_SRCS:test/fuzz/%.c=$(B)/fuzz/%)
REPLAY_BINS := $(FUZZ_SRCS:test/fuzz/%.c=$(B)/replay/%)
SIM_SRCS := $(sort $(wildcard test/sim/*.c))
SIM := $(B)/sim/sim
BENCH_SRCS := $(sort $(wildcard test/bench/bench_*.c))
BENCH_BINS := $(BENCH_SRCS:test/bench/%.c=$(B)/bench/%)

.PHONY: all help demo test check syntax bench asan ubsan fuzz lint format cov deps kubesim e2e install uninstall clean \
	binaries test-binaries replay-binaries
.DELETE_ON_ERROR:
.SECONDARY:

all: deps-quiet
	@$(MAKE) --no-print-directory VARIANT=$(VARIANT) binaries
binaries: $(BIN)
test-binaries: $(BIN) $(TEST_BINS) $(REPLAY_BINS)

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(CFLAGS_$<) -MMD -MP -c -o $@ $<
# Only the warnings: what a second compiler says of every source, the tests' too.
$(B)/%.checked: %.c $(B)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(CFLAGS_$<) -MMD -MP -MT $@ -MF $@.d -fsyntax-only $<
	@touch $@
syntax: $(patsubst %.c,$(B)/%.checked,$(SRCS) $(wildcard test/*/*.c))
CFLAGS_src/cli/version.c = -DEDGE_HEALER_VERSION='"$(VERSION)"'

# A change of compiler or flags rebuilds everything, nothing else does.
FLAGS_LINE = $(CC) $(CPPFLAGS) $(CFLAGS_ALL)
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_LINE))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS_LINE))' > $@
FORCE:

$(LIB): $(LIB_OBJS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(BIN): $(B)/src/cli/main.o $(LIB)
	$(Q)$(CC) $(LINK_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(LIBS)

room_helpers = $(filter $(B)/test/$(1)/%,$(TEST_HELPER_OBJS))
.SECONDEXPANSION:
$(B)/test/agent/test_agent_blank: $(B)/test/heal/heal_rig.o
$(TEST_BINS): $(B)/test/%: $(B)/test/%.o $$(call room_helpers,$$(*D)) $(B)/test/serf/agent_rig.o $(LIB)
	$(Q)$(CC) $(LINK_$(VARIANT)) $(LDFLAGS) -o $@ $(sort $(filter %.o,$^)) $(LIB) -lcmocka $(LIBS)
$(FUZZ_BINS): $(B)/fuzz/%: $(B)/test/fuzz/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(LIBS)
$(REPLAY_BINS): $(B)/replay/%: $(B)/test/fuzz/%.o $(B)/test/fuzz/replay_main.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(LIBS)
$(SIM): $(SIM_SRCS:%.c=$(B)/%.o) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BENCH_BINS): $(B)/bench/%: $(B)/test/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(LIBS)

-include $(shell find $(B) -name '*.d' 2>/dev/null)

DEB := gcc clang clang-format clang-tidy libclang-rt-14-dev make pkg-config git python3 openssl iproute2 nftables serf prometheus \
	libmsgpack-dev libcurl4-openssl-dev libjson-c-dev libsqlite3-dev libevent-dev libmicrohttpd-dev \
	libyaml-dev uthash-dev libssl-dev libcmocka-dev shellcheck nghttp2-proxy libnftables-dev nftables

# Install what is missing: as root or with sudo; otherwise say what to run.
deps:
	@test/deps.sh $(DEB)
deps-quiet:
	@test/deps.sh $(DEB) >/dev/null || test/deps.sh $(DEB)
.PHONY: deps-quiet

demo: all
	@$(PYTHON) test/demo/demo.py --binary $(BIN) $(if $(KEEP),--keep)

test: deps-quiet
	@$(PYTHON) test/run.py $(if $(ONLY),--only '$(ONLY)')

# For every commit: what is built, linted and unit-tested in a minute when little has changed.
check: deps-quiet
	@$(PYTHON) test/run.py --check $(if $(ONLY),--only '$(ONLY)')

e2e: all
	@$(PYTHON) test/e2e/run.py --binary $(BIN) $(if $(KUBECONFIG),--kubeconfig '$(KUBECONFIG)') $(ARGS)

bench: all
	@$(MAKE) --no-print-directory $(BENCH_BINS) $(SIM)
	@$(PYTHON) test/bench/bench.py --binary $(BIN) --out build/bench.json $(if $(RUNS),--runs $(RUNS)) $(ARGS)

# One run with its timeline (SEED, NODES and FOR as in `make sim SEED=7 NODES=5 FOR=30m`), or a batch.
SIM_ARGS = $(if $(SEED),--seed $(SEED),--batch $(or $(SEEDS),5000) --from 1) $(if $(NODES),--nodes $(NODES)) $(if $(FOR),--for $(FOR))
sim: deps-quiet
	@$(MAKE) --no-print-directory $(SIM)
	@$(SIM) $(SIM_ARGS) $(if $(DROP),--drop $(DROP))
sim-binary: $(SIM)
mutations: $(SIM)
	@$(PYTHON) test/sim/mutations.py --cc '$(CC) $(CPPFLAGS) $(CFLAGS_ALL)' --link '$(CC) $(LINK_$(VARIANT)) $(LDFLAGS)' \
		--objects '$(SIM_SRCS:%.c=$(B)/%.o)' --lib $(LIB) --libs '$(LIBS)' $(if $(ONLY),--only '$(ONLY)') $(if $(QUICK),--quick)
.PHONY: sim sim-binary mutations

asan ubsan: deps-quiet
	@$(PYTHON) test/run.py --variant $@

fuzz: deps-quiet
	@$(MAKE) --no-print-directory VARIANT=fuzz fuzz-binaries
	@test/fuzz/run.sh build/fuzz/fuzz $(or $(SECONDS_EACH),60)
fuzz-binaries: $(FUZZ_BINS)
.PHONY: fuzz-binaries

lint: deps-quiet
	@test/lint/run.sh
format:
	clang-format -i $(shell git ls-files '*.c' '*.h')
cov: deps-quiet
	@$(PYTHON) test/run.py --variant cov
	@test/lint/cov.sh build/cov

kubesim:
	@$(PYTHON) test/kubesim/apiserver.py $(ARGS)

install: $(BIN)
	install -D -m 0755 $(BIN) $(DESTDIR)$(PREFIX)/bin/edge-healer
	install -D -m 0644 examples/edge-healer.yaml $(DESTDIR)$(PREFIX)/share/doc/edge-healer/edge-healer.yaml
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/edge-healer
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/edge-healer
clean:
	rm -rf build

help:
	@sed -n '1,7s/^# \{0,1\}//p' Makefile
	@printf '%s\n' \
	  '  make bench      measure; a table and build/bench.json (RUNS=10: of each failover)' \
	  '  make e2e KUBECONFIG=file   the end-to-end tests against a real control plane (without KUBECONFIG: kubesim)' \
	  '  make sim SEED=7 NODES=5 FOR=30m   many healers in virtual time: one run and its timeline; without SEED a batch' \
	  '  make mutations  put mistakes into heal/: the simulator must find each' \
	  '  make kubesim ARGS="--listen 127.0.0.1:18080 --bare"   the test API server' \
	  '  make asan | ubsan | fuzz | lint | format | cov        one part of the checks' \
	  '  make install | uninstall   PREFIX=/usr/local DESTDIR=' \
	  '  make deps       install what is missing (Debian)' \
	  '  make test ONLY=serf        only the tests whose name contains this word'
