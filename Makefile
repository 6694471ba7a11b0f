# SPDX-License-Identifier: ISC
# flyball: plain GNU make. `make help` lists what there is.
B ?= build
ifeq ($(origin CC),default)
CC = gcc
endif
PKG_CONFIG ?= pkg-config
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
SAN ?=
OPT ?= -O2 -g

VERSION := 0.1.0
PKGS := libevent_core libevent_extra libssl libcrypto yaml-0.1 lmdb jansson libcrypt libidn2 libpcre2-8 glib-2.0 libcares libpsl gmime-3.0 zlib hiredis
HAVE_SYSTEMD := $(shell $(PKG_CONFIG) --exists libsystemd 2>/dev/null && echo yes)
ifeq ($(HAVE_SYSTEMD),yes)
PKGS += libsystemd
DEFS += -DHAVE_SYSTEMD
endif

# Targets that need no libraries found.
ifeq ($(filter deps fmt clean help demo check bench fuzz deb deb-check vm-check,$(MAKECMDGOALS)),)
PKG_MISSING := $(shell for p in $(PKGS); do \
	$(PKG_CONFIG) --exists $$p 2>/dev/null || printf '%s ' $$p; done)
ifneq ($(strip $(PKG_MISSING)),)
$(error missing libraries: $(PKG_MISSING): run `make deps`)
endif
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Wpointer-arith -Wwrite-strings -Wformat=2 -Wno-format-nonliteral
DEFS += -D_GNU_SOURCE -DFLYBALL_VERSION='"$(VERSION)"' \
	-DFLYBALL_SYSCONFDIR='"$(SYSCONFDIR)"'
ifneq ($(SAN),)
SANFLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
endif
override CFLAGS += -std=gnu11 $(OPT) $(WARN) $(SANFLAGS) -fno-common -pthread
override CPPFLAGS += -I. -I$(B)/gen $(DEFS) $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
override LDFLAGS += $(SANFLAGS) -pthread
LIBS = $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null) -lresolv

# One archive a layer; an executable links its layer and those below it.
base_SRC := $(wildcard conf/base/*.c)
conf_SRC := $(wildcard conf/*.c)
scheduler_SRC := $(wildcard scheduler/*.c)
sink_SRC := $(wildcard sink/*.c)
MAINS := daemon/flyballd.c daemon/flyballctl.c
daemon_SRC := $(filter-out $(MAINS),$(wildcard daemon/*.c))

base_LIBS := $(B)/libbase.a
conf_LIBS := $(B)/libconf.a $(base_LIBS)
scheduler_LIBS := $(B)/libscheduler.a $(conf_LIBS)
sink_LIBS := $(B)/libsink.a $(scheduler_LIBS)
daemon_LIBS := $(B)/libdaemon.a $(sink_LIBS)

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

.DEFAULT_GOAL := all
.PHONY: all deps demo check check_all bench fmt install clean help tests benches man \
	fuzz fuzzers deb deb-check vm-check lint valgrind
all: $(B)/flyballd $(B)/flyballctl $(B)/flyball-provider

$(B)/flyballd $(B)/flyballctl: $(B)/%: $(B)/obj/daemon/%.o $(daemon_LIBS)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# The demonstration provider stands alone but for conf/base. Its model is
# pure: the simulator and the unit tests link it without the server.
provider_SRC := $(wildcard tests/provider/*.c)
provider_MODEL := $(patsubst %,tests/provider/%.c,model spec standing voice)
$(B)/flyball-provider: $(call obj,$(provider_SRC)) $(conf_LIBS)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -levent_openssl -lm

define layer_rule
$(B)/lib$(1).a: $(call obj,$($(1)_SRC))
	@rm -f $$@
	$(AR) rcs $$@ $$^
endef
$(foreach l,base conf scheduler sink daemon,$(eval $(call layer_rule,$(l))))

# Files that are embedded: conf/x.yaml -> build/gen/x.inc, a C string body;
# conf/plans/*.yaml -> build/gen/plans.inc, rows of name and string.
C_STRING := sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/'
$(B)/gen/%.inc: conf/%.yaml
	@mkdir -p $(@D)
	$(C_STRING) $< > $@
PLANS := $(sort $(wildcard conf/plans/*.yaml))
$(B)/gen/plans.inc: $(PLANS)
	@mkdir -p $(@D)
	for p in $(PLANS); do printf '{ "%s",\n' "$$(basename $$p .yaml)"; \
		$(C_STRING) $$p; echo '},'; done > $@

# The dashboard: daemon/www/* and the library it draws with.
WWW := $(sort $(wildcard daemon/www/*)) /usr/share/javascript/chart.js/chart.min.js
$(B)/gen/www.inc: $(WWW)
	@mkdir -p $(@D)
	for f in $(WWW); do printf '{ "/%s", WWW_BODY(\n' "$$(basename $$f)"; \
		$(C_STRING) $$f; echo ') },'; done > $@
$(B)/obj/daemon/http_www.o: $(B)/gen/www.inc

# What runs inside Redis: rows of name and string.
LUA := $(sort $(wildcard daemon/cluster/*.lua))
$(B)/gen/cluster.inc: $(LUA)
	@mkdir -p $(@D)
	for f in $(LUA); do printf '{ "%s",\n' "$$(basename $$f .lua)"; \
		$(C_STRING) $$f; echo '},'; done > $@
$(B)/obj/daemon/cluster.o: $(B)/gen/cluster.inc

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(call obj,$(conf_SRC)): | $(B)/gen/plans.inc \
	$(patsubst conf/%.yaml,$(B)/gen/%.inc,$(wildcard conf/*.yaml))

# tests/unit/test_NAME.c tests NAME.c; it links the layer where NAME.c lives.
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
layer_of = $(strip $(if $(wildcard conf/base/$(1).c),base,$(firstword \
	$(foreach l,conf scheduler sink daemon,$(if $(wildcard $(l)/$(1).c),$(l))) daemon)))
fault_SRC := $(wildcard tests/fault/*.c)
test_spool_power_SRC := $(fault_SRC)
define unit_rule
$(B)/$(1): $(B)/obj/tests/unit/$(1).o $(call obj,$($(1)_SRC)) \
		$($(call layer_of,$(patsubst test_%,%,$(1)))_LIBS)
	$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LIBS) -lcmocka
endef
$(foreach t,$(filter-out test_provider_% test_sim test_lease_model,$(UNIT)),$(eval $(call unit_rule,$(t))))
# The model of shared limits runs Redis' script itself, in a Lua as Redis has.
$(B)/obj/tests/unit/test_lease_model.o: override CPPFLAGS += -I/usr/include/lua5.1
$(B)/test_lease_model: $(B)/obj/tests/unit/test_lease_model.o $(scheduler_LIBS)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -llua5.1 -lcmocka
$(addprefix $(B)/,$(filter test_provider_%,$(UNIT))): $(B)/%: \
		$(B)/obj/tests/unit/%.o \
		$(call obj,$(provider_MODEL)) $(base_LIBS)
	$(CC) $(LDFLAGS) -o $@ $^ -lm -lcmocka
tests: $(addprefix $(B)/,$(UNIT)) $(if $(SAN),,$(B)/fault.so $(B)/bench_load)

# Preloaded into a daemon whose disk is to fail.
$(B)/fault.so: $(fault_SRC) $(wildcard tests/fault/*.h)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -shared -o $@ $(fault_SRC)

# tests/sim: the scheduler against provider models in virtual time.
sim_SRC := $(filter-out tests/sim/main.c,$(wildcard tests/sim/*.c))
$(B)/test_sim $(B)/flyball-sim: $(call obj,$(sim_SRC) $(provider_MODEL)) \
		$(scheduler_LIBS)
$(B)/test_sim: $(B)/obj/tests/unit/test_sim.o
	$(CC) $(LDFLAGS) -o $@ $< $(filter-out $<,$^) $(LIBS) -lm -lcmocka
$(B)/flyball-sim: $(B)/obj/tests/sim/main.o
	$(CC) $(LDFLAGS) -o $@ $< $(filter-out $<,$^) $(LIBS) -lm

# tests/bench/bench_NAME.c: what one layer costs, by itself.
BENCHES := $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/*.c))
$(addprefix $(B)/,$(BENCHES)): $(B)/bench_%: $(B)/obj/tests/bench/bench_%.o $(daemon_LIBS)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
benches: $(addprefix $(B)/,$(BENCHES))

# tests/fuzz/fuzz_NAME.c: with FUZZ=1 linked with libFuzzer, else with a main
# that runs it over files.
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ ?=
$(addprefix $(B)/,$(FUZZERS)): $(B)/%: $(B)/obj/tests/fuzz/%.o \
		$(if $(FUZZ),,$(B)/obj/tests/fuzz/replay.o) $(daemon_LIBS)
	$(CC) $(LDFLAGS) $(if $(FUZZ),-fsanitize=fuzzer) -o $@ $^ $(LIBS)
fuzzers: $(addprefix $(B)/,$(FUZZERS))

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# ---- what people type ----

deps:
	@contrib/deps.sh all

# Sub-makes, so that the libraries are looked for after they were installed.
demo:
	@contrib/deps.sh $(if $(NODES),cluster,$(if $(MTA),mta,build))
	@$(MAKE) --no-print-directory all
	@python3 tests/demo/$(if $(NODES),cluster,$(if $(MTA),behind_$(MTA),demo)).py \
		--build $(B) $(if $(NODES),--nodes $(NODES)) $(if $(KEEP),--keep)

# The unit tests run a second time with ASan and UBSan, and so do the end-to-end
# tests of what strangers reach; those of several things at once also with
# TSan; a few run under valgrind, and lint looks at the code. `make check
# ONLY=e2e`, `make check T="test_bucket"` select.
SANB := $(B)/san
TSANB := $(B)/tsan
FUZZB := $(B)/fuzz
FUZZ_MAKE = $(MAKE) $(PARALLEL) --no-print-directory fuzzers B=$(FUZZB) CC=clang FUZZ=1 \
	SAN=fuzzer-no-link,address,undefined
HAVE_LIBFUZZER = $(wildcard $(shell clang -print-file-name=lib/linux/libclang_rt.fuzzer-x86_64.a 2>/dev/null))
# Four builds: on all processors, unless -j was given.
PARALLEL = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
check:
	@contrib/deps.sh all
	@$(MAKE) --no-print-directory check_all
# With what was installed by then.
check_all:
	@$(MAKE) $(PARALLEL) --no-print-directory all tests
	@$(MAKE) $(PARALLEL) --no-print-directory all tests fuzzers B=$(SANB) \
		SAN=address,undefined
	@$(MAKE) $(PARALLEL) --no-print-directory all B=$(TSANB) SAN=thread
	$(if $(HAVE_LIBFUZZER),@$(FUZZ_MAKE))
	@python3 tests/run.py --build $(B) --sanitized $(SANB) \
		--thread $(TSANB) $(if $(HAVE_LIBFUZZER),--fuzz $(FUZZB)) \
		$(if $(ONLY),--only $(ONLY),--make valgrind lint --) $(T)

# Each of tests/fuzz for T seconds; `make fuzz T=600 ONLY="reply client"`.
T_FUZZ := $(or $(T),60)
fuzz:
	@contrib/deps.sh fuzz
	@$(FUZZ_MAKE)
	@python3 tests/fuzz/run.py --build $(FUZZB) --seconds $(T_FUZZ) $(ONLY)

bench:
	@contrib/deps.sh bench
	@$(MAKE) --no-print-directory all benches
	@python3 contrib/bench/bench.py --build $(B) $(BENCH)

UNITDIR ?= $(PREFIX)/lib/systemd/system
MANDIR := $(DESTDIR)$(PREFIX)/share/man
install: all man
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin \
		$(MANDIR)/man1 $(MANDIR)/man5 $(MANDIR)/man8 \
		$(DESTDIR)$(SYSCONFDIR)/flyball \
		$(DESTDIR)$(UNITDIR) \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions
	install -m 755 $(B)/flyballd $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(B)/flyballctl $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(B)/man/flyballctl.1 $(MANDIR)/man1/
	install -m 644 $(B)/man/flyball.yaml.5 $(MANDIR)/man5/
	install -m 644 contrib/man/flyballd.8 $(MANDIR)/man8/
	test -e $(DESTDIR)$(SYSCONFDIR)/flyball/flyball.yaml || \
		install -m 644 contrib/flyball.yaml $(DESTDIR)$(SYSCONFDIR)/flyball/
	sed 's,@SBINDIR@,$(PREFIX)/sbin,' contrib/systemd/flyball.service \
		> $(B)/flyball.service
	install -m 644 $(B)/flyball.service contrib/systemd/flyball.socket \
		$(DESTDIR)$(UNITDIR)/
	install -m 644 contrib/systemd/flyball.sysusers \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/flyball.conf
	install -m 644 contrib/completion/flyballctl.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/flyballctl
	install -m 644 contrib/completion/_flyballctl \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/

# clang-tidy and cppcheck, over all or FILES="daemon/spool.c ..."; what they
# leave out stands, with the reasons, in .clang-tidy and contrib/lint.
LINT_SRC := $(base_SRC) $(conf_SRC) $(scheduler_SRC) $(sink_SRC) $(MAINS) $(daemon_SRC)
FILES ?= $(LINT_SRC)
lint: all
	@contrib/deps.sh lint
	cppcheck -j$$(nproc) --quiet --error-exitcode=1 --std=c11 \
		--enable=warning,performance,portability --inline-suppr \
		--suppressions-list=contrib/lint/cppcheck.suppressions \
		--library=contrib/lint/cppcheck.cfg -I. -I$(B)/gen $(DEFS) $(FILES)
	@printf '%s\n' $(FILES) | xargs -P$$(nproc) -n4 sh -c 'contrib/lint/tidy.sh \
		"$$@" -- -std=gnu11 $(subst ','\'',$(CPPFLAGS))' sh

# A short end-to-end run under memcheck.
VALGRIND_T := test_smtplib test_bdat_when_offered test_expiry_sends test_api_says \
	test_wrong_password test_bad_file_leaves test_changed_content
valgrind: all
	@contrib/deps.sh lint
	@mkdir -p $(B)/valgrind
	@cp contrib/lint/valgrind.sh $(B)/valgrind/flyballd
	@cp contrib/lint/valgrind.supp $(B)/valgrind/
	@ln -sf ../flyballctl ../flyball-provider $(B)/valgrind/
	@FLYBALL_SANITIZED=valgrind FLYBALL_TEST_PATIENCE=20 python3 tests/run.py \
		--build $(B)/valgrind --only e2e $(or $(T),$(VALGRIND_T))

# build/deb/flyball_VERSION_ARCH.deb
deb:
	@contrib/deps.sh deb
	@contrib/debian/build.sh $(VERSION) $(B)

# Its life in a Debian of its own; as root.
deb-check: deb
	lintian --allow-root --fail-on error $(B)/deb/flyball_$(VERSION)_*.deb
	tests/package.sh $(B)/deb/flyball_$(VERSION)_*.deb

# The same under a real systemd and AppArmor, in an emulated machine; as root.
vm-check: deb
	@contrib/deps.sh vm
	@$(MAKE) --no-print-directory all
	tests/vm/run.sh $(B)/deb/flyball_$(VERSION)_*.deb $(B)/flyball-provider

man: $(B)/man/flyballctl.1 $(B)/man/flyball.yaml.5
$(B)/man/flyballctl.1: $(B)/flyballctl
	@mkdir -p $(@D)
	$(B)/flyballctl man flyballctl > $@
$(B)/man/flyball.yaml.5: $(B)/flyballctl
	@mkdir -p $(@D)
	$(B)/flyballctl man flyball.yaml > $@

help:
	@echo 'make          build flyballd and flyballctl in $(B)/'
	@echo 'make demo     see it work, in about 30 s (KEEP=1: until Ctrl-C;'
	@echo '              MTA=postfix: with a real Postfix between, as root;'
	@echo '              NODES=3: relays that share a limit, in 70 s)'
	@echo 'make check    every test'
	@echo 'make bench    side by side with Postfix'
	@echo 'make fuzz     each fuzz target for T=60 seconds (ONLY="reply client")'
	@echo 'make deps     install what is missing from Debian'
	@echo 'make install  PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)'
	@echo 'make lint     clang-tidy and cppcheck; make valgrind: tests under memcheck'
	@echo 'make deb      a Debian package, in $(B)/deb/; make deb-check, as root,'
	@echo '              installs, upgrades and purges it in a Debian of its own;'
	@echo '              make vm-check runs it under systemd and AppArmor in a VM'
	@echo 'make fmt      clang-format; make clean'
	@echo 'SAN=address,undefined or SAN=thread with B=DIR: sanitized builds'

fmt:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf $(B)
