# Speed and quality beside other programs and beside the machine's own limits; writes the tables and the plot of
# docs/performance.md.
#
#   bench            the runtime: BENCH_WHAT, groups of `smollm2 types shapes threads busy masks embed quality load text blas` (all)
#   bench-rows       statements over rows, on a private server with the extension as it was installed (`make install` first)
#   bench-report     the tables and the plot again, from the results under build/bench
#
# BENCH_THREADS, BENCH_ROUNDS (15), BENCH_MINUTES (a group stops after them; 0: never), BENCH_OUT (the page), BENCH_ROWS (2000),
# BENCH_VOCAB (a GGUF file with a byte-level vocabulary, for `masks`), BENCH_TEXTS (512), BENCH_WINDOWS (20) and BENCH_TYPES (for `quality`), BENCH_TEXT_MB (2, for `text`), BENCH_REFERENCES (folder of models with exact logits, for `quality`) and
# BENCH_TORCH (a Python with torch and transformers, for `embed`) can be set.
BENCH_WHAT    ?= smollm2 types shapes threads busy masks embed quality load text blas
BENCH_THREADS ?= $(shell nproc)
BENCH_ROUNDS  ?= 15
BENCH_MINUTES ?= 0
BENCH_OUT     ?= docs/performance.md
BENCH_WORDS    = --threads "$(BENCH_THREADS)" --rounds "$(BENCH_ROUNDS)" --minutes "$(BENCH_MINUTES)" --out "$(BENCH_OUT)"
export BENCH_ROWS BENCH_VOCAB BENCH_TEXTS BENCH_TEXT_MB BENCH_TYPES BENCH_WINDOWS BENCH_REFERENCES BENCH_TORCH

build/machine_bench: src/test/bench/machine_bench.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O3 -Wall -Wextra $< -o $@ -lpthread

# build/mask_bench MODEL.gguf: what token masks of a grammar cost with the vocabulary of MODEL
build/mask_bench: src/test/bench/mask_bench.c $(patsubst %.c,%.o,$(RUNTIME_SRC) $(KERNEL_SRC))
	@mkdir -p $(@D)
	$(CC) $(RUNTIME_CPPFLAGS) $(CFLAGS) $^ -o $@ $(LIBS_RUNTIME)

# build/matmul_bench [TYPE [LEVEL]]: the matrix products of every type alone
build/matmul_bench: src/test/bench/matmul_bench.c $(patsubst %.c,%.o,$(KERNEL_SRC))
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CPPFLAGS) $(CFLAGS) $^ -o $@ -lm

.PHONY: bench bench-rows bench-report
bench: build/llm build/machine_bench build/mask_bench build/matmul_bench
	@bash src/test/bench/bench.sh bench --what "$(BENCH_WHAT)" $(BENCH_WORDS)
bench-rows: build/machine_bench
	@bash src/test/bench/bench.sh rows $(BENCH_WORDS)
bench-report:
	@python3 src/test/bench/report.py build/bench "$(BENCH_OUT)"
