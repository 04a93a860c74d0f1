# `make bench`: speed beside llama.cpp and beside the machine's own limits; writes the table of docs/performance.md.
# BENCH_MODEL (a GGUF file; without it SmolLM2, fetched), BENCH_THREADS, BENCH_ROUNDS and BENCH_OUT (a Markdown file whose
# marked table is replaced) can be set.
BENCH_THREADS ?= $(shell nproc)
BENCH_ROUNDS  ?= 5
BENCH_OUT     ?= docs/performance.md

build/machine_bench: src/test/bench/machine_bench.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O3 -Wall -Wextra $< -o $@ -lpthread

# build/mask_bench MODEL.gguf: what token masks of a grammar cost with the vocabulary of MODEL
build/mask_bench: src/test/bench/mask_bench.c $(patsubst %.c,%.o,$(RUNTIME_SRC) $(KERNEL_SRC))
	@mkdir -p $(@D)
	$(CC) $(RUNTIME_CPPFLAGS) $(CFLAGS) $^ -o $@ $(LIBS_RUNTIME)

.PHONY: bench
bench: build/llm build/machine_bench
	@bash src/test/bench/bench.sh "$(BENCH_THREADS)" "$(BENCH_ROUNDS)" "$(BENCH_OUT)" "$(BENCH_MODEL)"
