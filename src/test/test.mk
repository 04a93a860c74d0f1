# Unit tests: plain C programs over the runtime and the kernels, one per src/test/unit/*.c, built into build/unit.
# `make unit` runs them as built for release, and tries the command-line tool (tool_test.py); `make unit-asan` builds everything
# again under AddressSanitizer and UndefinedBehaviorSanitizer.

UNIT_SRC   = $(sort $(wildcard src/test/unit/*_test.c))
UNIT_NAMES = $(notdir $(basename $(UNIT_SRC)))
LIB_OBJS   = $(patsubst %.c,%.o,$(RUNTIME_SRC) $(KERNEL_SRC))
UNIT_CPPFLAGS = $(RUNTIME_CPPFLAGS) -I$(srcdir)/src/test/unit

include src/test/simde.mk

build/unit/%: src/test/unit/%.c $(LIB_OBJS) $(HEADERS_ALL) $(wildcard src/test/unit/*.h)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CPPFLAGS) $(CFLAGS) $< $(filter %.o,$^) -o $@ $(LIBS_RUNTIME)

.PHONY: unit unit-asan unit-programs unit-asan-programs regress-tree
unit-programs: $(addprefix build/unit/,$(UNIT_NAMES))
unit-asan-programs: $(addprefix build/asan/unit/,$(UNIT_NAMES))
unit: $(addprefix build/unit/,$(UNIT_NAMES)) build/llm
	@bash src/test/run_unit.sh $(addprefix build/unit/,$(UNIT_NAMES))
	@python3 src/test/tool_test.py build/llm

SAN_FLAGS = -g -O1 -std=gnu11 -ffp-contract=off -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
SAN_OBJS  = $(patsubst %.c,build/asan/%.o,$(RUNTIME_SRC) $(KERNEL_SRC))
build/asan/%.o: %.c $(HEADERS_ALL)
	@mkdir -p $(@D)
	$(CC) $(RUNTIME_CPPFLAGS) $(SAN_FLAGS) $(SAN_LEVEL_FLAGS) -c $< -o $@
build/asan/kernels/cpu/%_avx2.o: SAN_LEVEL_FLAGS = $(AVX2_FLAGS)
build/asan/kernels/cpu/%_avxvnni.o: SAN_LEVEL_FLAGS = $(AVXVNNI_FLAGS)
build/asan/kernels/cpu/%_avx512.o: SAN_LEVEL_FLAGS = $(AVX512_FLAGS)
build/asan/kernels/cpu/%_avx512vnni.o: SAN_LEVEL_FLAGS = $(AVX512VNNI_FLAGS)

build/asan/unit/%: src/test/unit/%.c $(SAN_OBJS) $(wildcard src/test/unit/*.h)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CPPFLAGS) $(SAN_FLAGS) $< $(filter %.o,$^) -o $@ $(LIBS_RUNTIME)
unit-asan: $(addprefix build/asan/unit/,$(UNIT_NAMES))
	@bash src/test/run_unit.sh $^

regress-tree:
	@bash src/tools/regress_tree.sh
	@[ -n "$(TAP_TESTS)" ] || [ "$(origin TAP_TESTS)" = "command line" ] || \
	    echo "SQL tests only: TAP tests need Perl's IPC::Run and a user other than root ('make test' sees to both)"

include src/test/fuzz/fuzz.mk
include src/test/long.mk
