# pg_llm: PGXS build. `make quickstart` and `make test` are the two commands of the README.

EXTENSION    = pg_llm
EXTVERSION   = 0.1.0
MODULE_big   = pg_llm
PG_CONFIG   ?= pg_config

# The first two commands must work before anything is installed, so they do not read PGXS.
ifneq ($(filter quickstart test,$(MAKECMDGOALS)),)
.PHONY: quickstart test
quickstart test:
	@bash src/tools/$@.sh
else

RUNTIME_SRC  = $(sort $(wildcard src/runtime/*/*.c src/runtime/*/*/*.c))
KERNEL_SRC   = $(sort $(wildcard kernels/cpu/*.c))
PG_SRC       = $(sort $(wildcard src/pg/*.c src/pg/*/*.c))
OBJS         = $(patsubst %.c,%.o,$(RUNTIME_SRC) $(PG_SRC) $(KERNEL_SRC))
DATA_built   = build/sql/pg_llm--$(EXTVERSION).sql
DATA         = $(filter-out sql/pg_llm--$(EXTVERSION).sql,$(wildcard sql/pg_llm--*.sql))
REGRESS      = $(sort $(notdir $(basename $(wildcard sql-tests/*.sql))))
REGRESS_PREP = regress-tree
# the shell resolves links: build/regress may be one (regress_tree.sh)
REGRESS_DIR  = "$$(cd build/regress && pwd -P)"
REGRESS_OPTS = --inputdir=$(REGRESS_DIR) --outputdir=$(REGRESS_DIR) --load-extension=pg_llm
# TAP tests start servers of their own, which root cannot, by Perl's IPC::Run, which not everyone has
TAP_TESTS   := $(shell [ "$$(id -u)" != 0 ] && perl -MIPC::Run -e 'print 1' 2> /dev/null)
PROVE_TESTS  = sql-tests/t/*.pl
EXTRA_CLEAN  = build pg_llm.control
COMMON_CFLAGS = -std=gnu11 -ffp-contract=off -fvisibility=hidden
PG_CPPFLAGS  = -I$(srcdir)/src/pg -I$(srcdir)/src/runtime -I$(srcdir)/kernels
PG_CFLAGS    = $(COMMON_CFLAGS) -Wno-declaration-after-statement
LIBS_RUNTIME = -lpcre2-8 -lutf8proc -ljson-c -lpthread -lm
SHLIB_LINK   = $(LIBS_RUNTIME)
# the bitcode pass ignores per-file flags and breaks the AVX files; JIT inlines nothing of ours
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs 2> /dev/null)
ifeq ($(wildcard $(PGXS)),)
$(error PG_CONFIG=$(PG_CONFIG) leads to no PostgreSQL development files. Install them (Debian: apt-get install postgresql-server-dev-15), or name another pg_config by PG_CONFIG=PATH)
endif
include $(PGXS)

all: build/llm

# the folder that pg_llm.model_path names by default; uninstalling leaves it if it holds models
.PHONY: install-models uninstall-models
install: install-models
install-models:
	$(MKDIR_P) '$(DESTDIR)$(datadir)/pg_llm'
uninstall: uninstall-models
uninstall-models:
	[ ! -d '$(DESTDIR)$(datadir)/pg_llm' ] || rmdir --ignore-fail-on-non-empty '$(DESTDIR)$(datadir)/pg_llm'

# the private server runs in build/, and part of build/ may be links to folders outside
clean: stop-server
.PHONY: stop-server
stop-server:
	@bash src/tools/stop_server.sh

pg_llm.control: extension.control Makefile
	sed 's/@EXTVERSION@/$(EXTVERSION)/' $< > $@

build/sql/pg_llm--$(EXTVERSION).sql: sql/pg_llm.sql
	@mkdir -p $(@D)
	cp $< $@

HEADERS_ALL = $(wildcard src/*/*.h src/*/*/*.h src/*/*/*/*.h kernels/*.h kernels/*/*.h)
$(OBJS): $(HEADERS_ALL)

# Each layer sees only what lies below it: a wrong arrow does not compile.
RUNTIME_CPPFLAGS = -I$(srcdir)/src/runtime -I$(srcdir)/kernels -D_GNU_SOURCE
KERNEL_CPPFLAGS  = -I$(srcdir)/kernels -D_GNU_SOURCE
src/runtime/%.o: override CPPFLAGS := $(RUNTIME_CPPFLAGS)
kernels/cpu/%.o: override CPPFLAGS := $(KERNEL_CPPFLAGS)
kernels/cpu/%.o: CFLAGS += -O3
AVX2_FLAGS       = -mavx2 -mfma -mf16c
AVXVNNI_FLAGS    = $(AVX2_FLAGS) -mavxvnni
AVX512_FLAGS     = $(AVX2_FLAGS) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=256
AVX512VNNI_FLAGS = $(AVX512_FLAGS) -mavx512vnni
kernels/cpu/%_avx2.o: CFLAGS += $(AVX2_FLAGS)
kernels/cpu/%_avxvnni.o: CFLAGS += $(AVXVNNI_FLAGS)
kernels/cpu/%_avx512.o: CFLAGS += $(AVX512_FLAGS)
kernels/cpu/%_avx512vnni.o: CFLAGS += $(AVX512VNNI_FLAGS)

include src/tools/tools.mk
include src/test/test.mk

endif
