# `make bench`: speed beside llama.cpp and beside the machine's own limits; writes the table of docs/performance.md.
# BENCH_MODEL (a GGUF file; without it SmolLM2, fetched), BENCH_THREADS, BENCH_ROUNDS and BENCH_OUT (a Markdown file whose
# marked table is replaced) can be set.
BENCH_THREADS ?= $(shell nproc)
BENCH_ROUNDS  ?= 5
BENCH_OUT     ?= docs/performance.md

build/machine_bench: src/test/bench/machine_bench.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O3 -Wall -Wextra $< -o $@ -lpthread

.PHONY: bench
bench: build/llm build/machine_bench
	@bash src/test/bench/bench.sh "$(BENCH_THREADS)" "$(BENCH_ROUNDS)" "$(BENCH_OUT)" "$(BENCH_MODEL)"
