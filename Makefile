# One file, no recursion into folders, no configure step. `make` lists the targets.
#
#   ARCH=aarch64   build for another machine, with its Debian cross compiler
#   CLANG=1        build with clang and lld instead of gcc
#   DEV=1          warnings are errors
#   VERBOSE=1      show every command

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules --no-builtin-variables

NATIVE  := $(shell uname -m)
ARCH    ?= $(NATIVE)
PREFIX  ?= /usr/local
SECS    ?= 60
BOOTS   ?= 10000
Q       := $(if $(VERBOSE),,@)

# ---- where things are

ifdef CLANG
V   := build/clang
BIN := build/clang/pinnace
else ifeq ($(ARCH),$(NATIVE))
V   := build/$(ARCH)
BIN := build/pinnace
else
V   := build/$(ARCH)
BIN := build/$(ARCH)/pinnace
EMULATOR := qemu-$(ARCH)-static
endif
SYSROOT := $(CURDIR)/build/$(ARCH)/sysroot

SRC   := $(sort $(wildcard init/*.c init/*/*.c init/*/*/*.c probes/*.c))
LIB   := $(filter-out init/main.c,$(SRC))
SIM   := $(sort $(wildcard tests/sim/*.c))
UNIT  := $(sort $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/t_*.c)))
DIFF  := $(sort $(patsubst tests/differential/%.c,%,$(wildcard tests/differential/*.c)))
FUZZ  := $(sort $(patsubst tests/fuzz/f_%.c,%,$(wildcard tests/fuzz/f_*.c)))
MAN   := $(sort $(wildcard docs/*.[1-8]))
HASH  := \#
# Those with a #! line are programs, the others are modules that they import.
INTEG := $(sort $(shell grep -l '^$(HASH)!' tests/integration/*.py 2>/dev/null))

# ---- how things are compiled

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wimplicit-fallthrough \
	$(if $(DEV),-Werror)
BASE := -std=gnu17 -D_GNU_SOURCE -Iinit -I. -g \
	-ffile-prefix-map=$(CURDIR)=.
SMALL := -Os -fno-pie -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
	-fno-unwind-tables -fstack-protector-strong -ftrivial-auto-var-init=zero
LINK := -static -no-pie -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=none
LIBS := -lyyjson -linih -lz -lbsd -lmd
ASAN := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
# glibc builds: the same libraries, but inih, yyjson and zlib compiled along, sanitized too.
GLIBC := -isystem build/src -isystem build/glibc/include
GLIBC_LIBS := -Lbuild/glibc/lib -lbsd -lmd
GLIBC_SRC  := build/src/ini.c build/src/yyjson.c \
	$(patsubst %,build/src/zlib/%.c,$(shell sed -n 's/^ZLIB_FILES="\(.*\)"/\1/p' tools/deps.sh))

ifdef CLANG
# clang 14 and 15 want to be told twice that zero is meant.
ZERO := -enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang
SMALL += $(shell clang -dumpversion 2>/dev/null | grep -q '^1[0-5]\.' && echo $(ZERO))
TARGET := --target=$(ARCH)-linux-musl --sysroot=$(SYSROOT)
MUSLCC := clang $(TARGET)
LINK   := $(TARGET) -rtlib=compiler-rt -fuse-ld=lld $(filter-out -no-pie,$(LINK))
else
MUSLCC := $(SYSROOT)/bin/musl-gcc
endif
CROSS := $(if $(EMULATOR),$(ARCH)-linux-gnu-)

# flavour DIRECTORY COMPILER-AND-FLAGS PREREQUISITE: how DIRECTORY/x/y.o comes from x/y.c
define flavour
$1/%.o: %.c Makefile $3
	@mkdir -p $$(@D)
	$$(if $$(Q),@echo "  CC    $1/$$*.o")
	$$(Q)$2 -MMD -MP -c -o $$@ $$<
endef
objects = $(patsubst %.c,$1/%.o,$2)

RELEASE := $(V)/obj
TESTED  := $(V)/tests/obj
ASANED  := build/asan/obj
FUZZED  := build/fuzz/obj
READY   := build/$(ARCH)/sysroot/.ready
GREADY  := build/glibc/.ready build/src/.ready

build/asan/obj/build/src/%.o build/fuzz/obj/build/src/%.o: WARN := -w
$(eval $(call flavour,$(RELEASE),$(MUSLCC) $(BASE) $$(WARN) $(SMALL),$(READY)))
$(eval $(call flavour,$(TESTED),$(MUSLCC) $(BASE) $$(WARN) $(SMALL) -DBUG_IS_FATAL,$(READY)))
$(eval $(call flavour,$(ASANED),gcc $(BASE) $$(WARN) $(GLIBC) $(ASAN) -DBUG_IS_FATAL,$(GREADY)))
$(eval $(call flavour,$(FUZZED),clang $(BASE) $$(WARN) $(GLIBC) $(ASAN) -DBUG_IS_FATAL \
	-fsanitize=fuzzer-no-link,$(GREADY)))

# archive: tests link what they use of it, so a new module never breaks the old tests
define archive
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(CROSS)ar rcsD $@ $(filter %.o,$^)
endef
$(V)/tests/libpinnace.a: $(call objects,$(TESTED),$(LIB))
	$(archive)
$(V)/tests/libsim.a: $(call objects,$(TESTED),$(SIM))
	$(archive)
build/asan/tests/libpinnace.a: $(call objects,$(ASANED),$(LIB) $(GLIBC_SRC))
	$(archive)
build/asan/tests/libsim.a: $(call objects,$(ASANED),$(SIM))
	$(archive)
build/fuzz/libpinnace.a: $(call objects,$(FUZZED),$(LIB) $(GLIBC_SRC))
	$(archive)

ALL_SRC := $(SRC) $(SIM) $(UNIT:%=tests/unit/%.c) $(FUZZ:%=tests/fuzz/f_%.c) $(GLIBC_SRC)
-include $(wildcard $(foreach d,$(RELEASE) $(TESTED) $(ASANED) $(FUZZED),$(ALL_SRC:%.c=$d/%.d)))

# ---- what they need

# `make test` and `make demo` also install what is missing, when they may.
SETUP := $(firstword $(filter test demo,$(sort $(MAKECMDGOALS))) build)
SETUP := $(if $(filter test,$(MAKECMDGOALS)),test,$(SETUP))
build/.setup-%: tools/setup
	@tools/setup $*
	@mkdir -p build && touch $@

build/%/sysroot/.ready: tools/deps.sh tools/deps.lock | build/.setup-$(SETUP)
	@tools/deps.sh sysroot $*
build/glibc/.ready: tools/deps.sh tools/deps.lock | build/.setup-$(SETUP)
	@tools/deps.sh glibc
build/src/.ready: tools/deps.sh tools/deps.lock | build/.setup-$(SETUP)
	@tools/deps.sh sources
$(GLIBC_SRC): | build/src/.ready ;

# ---- targets

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-13s %s\n", $$1, $$2}' Makefile
	@sed -n '/^#   [A-Z]/s/^# /  /p' Makefile

all: pinnace ## The program
pinnace: $(BIN) ## build/pinnace, stripped; build/pinnace.debug has the symbols
$(BIN).debug: $(call objects,$(RELEASE),$(SRC))
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(MUSLCC) $(LINK) -o $@ $^ $(LIBS)
$(BIN): $(BIN).debug
	$(Q)$(CROSS)strip --strip-all -o $@ $<

$(V)/tests/unit/%: $(TESTED)/tests/unit/%.o $(if $(SIM),$(V)/tests/libsim.a) $(V)/tests/libpinnace.a
	@mkdir -p $(@D)
	$(Q)$(MUSLCC) $(LINK) -o $@ $^ $(LIBS)
build/asan/tests/unit/%: $(ASANED)/tests/unit/%.o $(if $(SIM),build/asan/tests/libsim.a) \
		build/asan/tests/libpinnace.a
	@mkdir -p $(@D)
	$(Q)gcc $(ASAN) -o $@ $^ $(GLIBC_LIBS)
$(V)/tests/sim: $(call objects,$(TESTED),$(SIM)) $(V)/tests/libpinnace.a
	$(Q)$(MUSLCC) $(LINK) -o $@ $^ $(LIBS)
build/asan/tests/sim: $(call objects,$(ASANED),$(SIM)) build/asan/tests/libpinnace.a
	$(Q)gcc $(ASAN) -o $@ $^ $(GLIBC_LIBS)

# Without the peer's library it is a script that says so, and is out of date at once.
build/asan/tests/differential/%: tests/differential/%.c build/asan/tests/libpinnace.a
	@mkdir -p $(@D)
	$(Q)if [ -e /usr/include/http_parser.h ]; then \
		gcc $(BASE) $(WARN) $(GLIBC) $(ASAN) -o $@ $^ $(GLIBC_LIBS) -lhttp_parser; \
	else printf '#!/bin/sh\necho "1..0 $(HASH) SKIP no libhttp-parser-dev"\n' >$@ && \
		chmod +x $@ && touch -d @0 $@; fi

# Those that a busy machine does not disturb: `make test` runs them side by side.
ENGINE := $(wildcard tests/engine/run tests/engine/network)
PATIENT := $(addprefix tests/integration/,net_matrix.py compat_cli.py)

# Programs that each suite needs, and its words for tests/tally. A cross build is tested
# under an emulator, where sanitizers do not work.
UNIT_BIN := $(addprefix $(V)/tests/unit/,$(UNIT)) \
	$(if $(EMULATOR),,$(addprefix build/asan/tests/unit/,$(UNIT)))
SIM_BIN := $(if $(SIM),$(V)/tests/sim $(if $(EMULATOR),,build/asan/tests/sim))
DIFF_BIN := $(if $(EMULATOR),,$(addprefix build/asan/tests/differential/,$(DIFF)))
# Those that measure time run alone.
ALONE := t_probe_wait t_job_tree t_logs_role t_held_jobs t_job t_http_server
RUN_UNIT := -t 120 unit: $(filter $(V)/%,$(UNIT_BIN)) \
	unit-asan: $(filter $(addprefix build/asan/tests/unit/,$(ALONE)),$(UNIT_BIN)) \
	-j 2 $(filter-out $(addprefix %/,$(ALONE)),$(filter build/asan/%,$(UNIT_BIN))) -j 1
RUN_SIM := -t 300 $(if $(SIM),sim: '$(V)/tests/sim $(BOOTS)' \
	$(if $(EMULATOR),,sim-asan: 'build/asan/tests/sim $(shell expr $(BOOTS) / 10)'))
RUN_DIFF := -t 120 differential: $(DIFF_BIN)
RUN_LINT := -t 300 lint: 'tools/lint $(RELEASE)'
RUN_BINARY := -t 60 binary: 'tools/check-binary $(BIN)'
RUN_INTEG := -t 400 integration: $(INTEG)
RUN_ENGINE := -t 1800 engine: $(ENGINE)
RUN_IMAGES := -t 1800 images: $(wildcard tests/images/lint tests/images/microvm tests/images/run)
RUN_DIST := -t 1800 dist: 'tests/dist/run $(if $(filter test,$(MAKECMDGOALS)),--quick)'
RUN_CLIENTS := -t 600 clients: $(wildcard tests/clients/*/run)
RUN_CROSS := -t 1800 cross: tools/check-cross
TALLY := tests/tally $(if $(EMULATOR),-r $(EMULATOR))

export PINNACE = $(CURDIR)/$(BIN)
export ASAN_OPTIONS = detect_leaks=1:detect_stack_use_after_return=1:print_legend=0
export UBSAN_OPTIONS = print_stacktrace=1

check-binary: $(BIN) ## What the finished file must and must not contain; its size
	$(Q)tests/tally $(RUN_BINARY)
	@tools/check-binary $(BIN) | grep bytes
unit: $(UNIT_BIN) ## Unit tests, on static musl and on glibc with ASan and UBSan
	$(Q)$(TALLY) $(RUN_UNIT)
sim: $(SIM_BIN) ## BOOTS simulated boots with faults, seeded
	$(Q)$(TALLY) $(RUN_SIM)
differential: $(DIFF_BIN) ## Our parsers against others, on mutated messages
	$(Q)tests/tally $(RUN_DIFF)
integration: $(BIN) ## The real program, from outside
	$(Q)tests/tally $(RUN_INTEG)
clients: $(BIN) ## Published client SDKs, from npm and unmodified, against real boxes; root
	$(Q)tests/tally $(RUN_CLIENTS)
engine: $(BIN) ## The real program under and around a real Docker engine; root
	$(Q)tests/tally $(RUN_ENGINE)
images: $(BIN) ## The images of images/, built, booted, driven, stopped; the others are checked; root
	$(Q)tests/tally $(RUN_IMAGES)
readme: $(BIN) ## README.md, followed word by word on a clean Debian; minutes, root
	$(Q)tests/tally -t 2400 readme: tests/images/readme
lint: $(BIN) ## Layers, writable globals, format, scripts, manuals; TIDY=1: clang-tidy
	$(Q)$(if $(TIDY),TIDY=1) tests/tally $(RUN_LINT)
test: $(BIN) $(UNIT_BIN) $(SIM_BIN) $(DIFF_BIN) | build/.setup-test ## Everything above, in one tally; sets up first
	$(Q)tests/tally -b $(RUN_LINT) $(RUN_CROSS) -m $(RUN_BINARY) $(RUN_UNIT) $(RUN_SIM) \
		$(RUN_DIFF) -t 400 integration: $(filter-out $(PATIENT),$(INTEG)) \
		-b $(PATIENT) $(RUN_CLIENTS) -m $(foreach e,$(ENGINE),-t 1800 -b engine: $e -m) \
		-b $(RUN_IMAGES) $(RUN_DIST) -m

demo: $(BIN) | build/.setup-demo ## A sandbox with a Docker engine in it, in a minute; sets the machine up first
	$(Q)tests/engine/demo
microvm: $(BIN) ## build/microvm: a kernel and an initramfs with pinnace as /init, for any VMM
	$(Q)tools/microvm build/microvm
bench: $(BIN) ## Measure against peers
	$(Q)tests/bench/run
	$(Q)tests/bench/dns
	$(Q)tests/bench/channel
	$(Q)tests/bench/cloudflare

build/fuzz/f_%: $(FUZZED)/tests/fuzz/f_%.o build/fuzz/libpinnace.a
	$(Q)clang $(ASAN) -fsanitize=fuzzer -o $@ $^ $(GLIBC_LIBS)
# What gcc passes and clang does not would be found by who begins to fuzz.
syntax: | $(GREADY)
	$(Q)clang $(BASE) $(WARN) $(GLIBC) -fsyntax-only $(filter-out build/%,$(ALL_SRC))
fuzz: $(addprefix build/fuzz/f_,$(or $(T),$(FUZZ))) ## Fuzz T=NAME (default all) for SECS=60 each
	$(Q)here=$(CURDIR)/build/fuzz; for t in $(or $(T),$(FUZZ)); do \
		mkdir -p $$here/corpus/$$t && seeds=$(CURDIR)/tests/fuzz/seeds/$$t && \
		$$here/f_$$t -max_total_time=$(SECS) -print_final_stats=1 -timeout=5 \
			-artifact_prefix=$$here/$$t- $$here/corpus/$$t \
			$$(test ! -d $$seeds || echo $$seeds) || exit 1; \
	done

format: ## Lay out all C as .clang-format says
	$(Q)find init probes tests -name '*.[ch]' -exec clang-format -i {} +
compdb: ## build/compile_commands.json, for clangd and clang-tidy
	$(Q)tools/compdb clang --target=$(ARCH)-linux-musl --sysroot=$(SYSROOT) $(BASE) $(WARN) -- \
		$(SRC) $(SIM) $(UNIT:%=tests/unit/%.c) >build/compile_commands.json
man: $(BIN) ## The manual pages: options from the tables; as text, in build/man
	$(Q)tools/man-options $(BIN)
	@mkdir -p build/man
	$(Q)for m in $(MAN); do mandoc -T utf8 $$m | col -b >build/man/$${m##*/}.txt || exit 1; done
# The completions are the program's own words: another machine's are those of TELLS, a native one.
TELLS ?= $(EMULATOR) $(BIN)
SHARE := $(DESTDIR)$(PREFIX)/share
install: $(BIN) ## Program, manuals, completions and licences, below DESTDIR and PREFIX
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/pinnace
	$(Q)for m in $(MAN); do install -D -m 644 $$m $(SHARE)/man/man$${m##*.}/$${m##*/} || exit 1; done
	$(Q)for c in bash:bash-completion/completions/pinnace zsh:zsh/vendor-completions/_pinnace \
		fish:fish/vendor_completions.d/pinnace.fish; do \
		$(TELLS) completion $${c%%:*} | install -D -m 644 /dev/stdin $(SHARE)/$${c#*:} || exit 1; done
	$(Q)install -D -m 644 LICENSE $(SHARE)/licenses/pinnace/pinnace
	$(Q)install -m 644 $(SYSROOT)/licenses/* $(SHARE)/licenses/pinnace/
dist-check: $(BIN) ## And is it whole, installable, and the same when it is built elsewhere?
	$(Q)tests/tally $(RUN_DIST)
dist: ## What a release consists of, in build/dist: both machines, packages, OCI, SBOM
	$(Q)tools/dist/all
clean: ## Remove what was built; what was downloaded stays in build/dl
	find build -mindepth 1 -maxdepth 1 ! -name dl -exec rm -rf --one-file-system {} + 2>/dev/null || true

.PHONY: help all pinnace check-binary unit sim differential integration clients engine images lint test \
	demo bench fuzz syntax format compdb man install microvm dist dist-check readme clean
