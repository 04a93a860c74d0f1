# Fuzzing with libFuzzer (clang): every src/test/fuzz/<topic>_fuzz.c becomes build/fuzz/<topic>_fuzz, with runtime and
# kernels under AddressSanitizer and UndefinedBehaviorSanitizer. `make fuzz` runs each for FUZZ_SECONDS from the seeds in
# src/test/fuzz/seeds/<topic>; what it learns stays in build/fuzz/corpus/<topic>, what fails in build/fuzz/failed-<topic>-*.
# FUZZ_TOPICS="gguf" runs only those. Words that a reader knows are taken from its source (DICT_topic). mutate.py makes inputs with more changes of
# their structure.

FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 60
FUZZ_TOPICS  ?= $(patsubst src/test/fuzz/%_fuzz.c,%,$(sort $(wildcard src/test/fuzz/*_fuzz.c)))
FUZZ_FLAGS    = -g -O1 -std=gnu11 -ffp-contract=off -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_OBJS     = $(patsubst %.c,build/fuzz/obj/%.o,$(RUNTIME_SRC) $(KERNEL_SRC))

DICT_folder   = src/runtime/weights/hf/*.c
DICT_gguf     = src/runtime/weights/*.c
DICT_grammar  = src/runtime/choose/*.c
DICT_hf       = src/runtime/text/hf_*.c
DICT_model    = src/runtime/model/*.c
DICT_template = src/runtime/text/jinja/*.c
build/fuzz/%.dict: $(FUZZ_OBJS)
	@echo '# words of $(or $(DICT_$*),no file)' > $@
	@grep -oh '"[A-Za-z_.$$][A-Za-z0-9_.$$-]*"' $(or $(DICT_$*),/dev/null) | sort -u >> $@ || true

build/fuzz/obj/%.o: %.c $(HEADERS_ALL)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(RUNTIME_CPPFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link $(FUZZ_LEVEL_FLAGS) -c $< -o $@
build/fuzz/obj/kernels/cpu/%_avx2.o: FUZZ_LEVEL_FLAGS = $(AVX2_FLAGS)
build/fuzz/obj/kernels/cpu/%_avxvnni.o: FUZZ_LEVEL_FLAGS = $(AVXVNNI_FLAGS)
build/fuzz/obj/kernels/cpu/%_avx512.o: FUZZ_LEVEL_FLAGS = $(AVX512_FLAGS)
build/fuzz/obj/kernels/cpu/%_avx512vnni.o: FUZZ_LEVEL_FLAGS = $(AVX512VNNI_FLAGS)

build/fuzz/%_fuzz: src/test/fuzz/%_fuzz.c $(FUZZ_OBJS)
	$(FUZZ_CC) $(RUNTIME_CPPFLAGS) -I$(srcdir)/src/test/unit $(FUZZ_FLAGS) -fsanitize=fuzzer $< $(FUZZ_OBJS) -o $@ $(LIBS_RUNTIME)

.PHONY: fuzz $(addprefix fuzz-,$(FUZZ_TOPICS))
fuzz: $(addprefix fuzz-,$(FUZZ_TOPICS))
$(addprefix fuzz-,$(FUZZ_TOPICS)): fuzz-%: build/fuzz/%_fuzz build/fuzz/%.dict
	@mkdir -p build/fuzz/corpus/$*
	build/fuzz/$*_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -dict=build/fuzz/$*.dict \
	    -artifact_prefix=build/fuzz/failed-$*- build/fuzz/corpus/$* $(wildcard src/test/fuzz/seeds/$*)
