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
PKGS := libevent_core libevent_extra libssl libcrypto yaml-0.1 lmdb jansson libcrypt libidn2
HAVE_SYSTEMD := $(shell $(PKG_CONFIG) --exists libsystemd 2>/dev/null && echo yes)
ifeq ($(HAVE_SYSTEMD),yes)
PKGS += libsystemd
DEFS += -DHAVE_SYSTEMD
endif

# Targets that need no libraries found.
ifeq ($(filter deps fmt clean help demo check bench,$(MAKECMDGOALS)),)
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
LIBS = $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null)

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
.PHONY: all deps demo check bench fmt install clean help unit e2e
all: $(B)/flyballd $(B)/flyballctl $(B)/flyball-provider

$(B)/flyballd $(B)/flyballctl: $(B)/%: $(B)/obj/daemon/%.o $(daemon_LIBS)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# The demonstration provider stands alone but for conf/base.
provider_SRC := $(wildcard tests/provider/*.c)
$(B)/flyball-provider: $(call obj,$(provider_SRC)) $(conf_LIBS)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

define layer_rule
$(B)/lib$(1).a: $(call obj,$($(1)_SRC))
	@rm -f $$@
	$(AR) rcs $$@ $$^
endef
$(foreach l,base conf scheduler sink daemon,$(eval $(call layer_rule,$(l))))

# Files that are embedded: conf/x.yaml -> build/gen/x_yaml.inc, a C string body.
$(B)/gen/%.inc: conf/%.yaml
	@mkdir -p $(@D)
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $< > $@

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(call obj,$(conf_SRC)): | $(patsubst conf/%.yaml,$(B)/gen/%.inc,$(wildcard conf/*.yaml))

# tests/unit/test_NAME.c tests NAME.c; it links the layer where NAME.c lives.
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
layer_of = $(strip $(if $(wildcard conf/base/$(1).c),base,$(firstword \
	$(foreach l,conf scheduler sink daemon,$(if $(wildcard $(l)/$(1).c),$(l))) daemon)))
define unit_rule
$(B)/$(1): $(B)/obj/tests/unit/$(1).o $($(call layer_of,$(patsubst test_%,%,$(1)))_LIBS)
	$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LIBS) -lcmocka
endef
$(foreach t,$(UNIT),$(eval $(call unit_rule,$(t))))
unit: $(addprefix $(B)/,$(UNIT))
	@set -e; for t in $(UNIT); do $(B)/$$t; done

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

fmt:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf $(B)
