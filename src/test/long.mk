# `make test-long`: what takes too long for every change. On 2 cores about half an hour plus LONG_FUZZ_SECONDS for each fuzzer.
#
#   fuzz             every fuzzer (fuzz/fuzz.mk) for LONG_FUZZ_SECONDS (300)
#   unit-asan        all unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   tool-asan        the command-line tool built the same way, tried by tool_test.py
#   unit-tsan        the unit tests that start threads, under ThreadSanitizer
#   valgrind-tool    generate and score of a small model under valgrind: no error, nothing left
#   large-shapes     a real model (LONG_MODEL, by default what quickstart fetched; left out if absent) over windows of 2048
#                    tokens: the same perplexity to the last digit for 1 and 2 threads and for the generic kernels
#
#   batch-statements LONG_STATEMENTS (400) generated statements on a private server, with batching and without: the same
#                    rows, errors and tables
#   interrupts       cancel, timeout and termination at LONG_INTERRUPTS (100) random moments of each phase; the server's user
#                    must be able to read this folder
#   extract          llm_extract over LONG_SCHEMAS (1000) random schemas with a tiny model, and a tenth of them with LONG_MODEL
#                    if there is one: all valid by python-jsonschema; left out if LONG_PYTHON (python3) has not jsonschema and rfc3986-validator
#   replay           100 trails of small models, and of LONG_MODEL if there is one, are verified by llm_replay in other processes, with
#                    other threads, CPU levels and batches; 100 single changes are found
#   pgvector         embeddings in columns of pgvector (check_pgvector.sh), for each of LONG_PGVECTOR: paths of pg_config of
#                    servers with pgvector; left out if there are none
#   minilm           all-MiniLM-L6-v2 through SQL (check_minilm.py): LONG_MINILM, its wheel or folder, LONG_REFERENCE, its
#                    minilm-reference.json, LONG_EVALS, folder of the texts; left out if one is not given
#
# Each can be run alone. Needs clang, valgrind and libsimde-dev beside what building needs; no network.

LONG_FUZZ_SECONDS ?= 300
LONG_MODEL        ?= $(firstword $(wildcard build/models/*.gguf))
LONG_TEXT         ?= docs/functions.md
LONG_STATEMENTS   ?= 400
LONG_INTERRUPTS   ?= 100
LONG_SCHEMAS      ?= 1000
LONG_PYTHON       ?= python3
LONG_PGVECTOR     ?=
LONG_MINILM       ?=
LONG_REFERENCE    ?=
LONG_EVALS        ?=

TSAN_TESTS = arch_test batch_test prompt_test request_limits_test scheduler_test threads_test
TSAN_FLAGS = -g -O1 -std=gnu11 -ffp-contract=off -fno-omit-frame-pointer -fsanitize=thread
TSAN_OBJS  = $(patsubst %.c,build/tsan/%.o,$(RUNTIME_SRC) $(KERNEL_SRC))
build/tsan/%.o: %.c $(HEADERS_ALL)
	@mkdir -p $(@D)
	$(CC) $(RUNTIME_CPPFLAGS) $(TSAN_FLAGS) $(TSAN_LEVEL_FLAGS) -c $< -o $@
build/tsan/kernels/cpu/%_avx2.o: TSAN_LEVEL_FLAGS = $(AVX2_FLAGS)
build/tsan/kernels/cpu/%_avxvnni.o: TSAN_LEVEL_FLAGS = $(AVXVNNI_FLAGS)
build/tsan/kernels/cpu/%_avx512.o: TSAN_LEVEL_FLAGS = $(AVX512_FLAGS)
build/tsan/kernels/cpu/%_avx512vnni.o: TSAN_LEVEL_FLAGS = $(AVX512VNNI_FLAGS)

build/tsan/unit/%: src/test/unit/%.c $(TSAN_OBJS) $(SIMDE_OBJS) $(wildcard src/test/unit/*.h)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CPPFLAGS) $(TSAN_FLAGS) $< $(filter %.o,$^) -o $@ $(LIBS_RUNTIME)

build/asan/llm: $(wildcard src/tools/*.c) $(SAN_OBJS)
	@mkdir -p $(@D)
	$(CC) $(RUNTIME_CPPFLAGS) $(SAN_FLAGS) $^ -o $@ $(LIBS_RUNTIME)

.PHONY: test-long unit-tsan tool-asan valgrind-tool large-shapes batch-statements
test-long: unit-asan tool-asan unit-tsan valgrind-tool large-shapes batch-statements
	@$(MAKE) fuzz FUZZ_SECONDS=$(LONG_FUZZ_SECONDS)

unit-tsan: $(addprefix build/tsan/unit/,$(TSAN_TESTS))
	@bash src/test/run_unit.sh $^

tool-asan: build/asan/llm
	@python3 src/test/tool_test.py build/asan/llm

VALGRIND = valgrind -q --error-exitcode=1 --leak-check=full
SMALL_MODEL = sql-tests/data/models/llama3.gguf
valgrind-tool: build/llm
	echo '{"text": "Once upon a time", "temperature": 1.2, "top_p": 0.9, "repeat_penalty": 1.1}' | \
	    $(VALGRIND) build/llm generate $(SMALL_MODEL) -n 4 --threads 2
	echo '{"input": "good", "labels": ["yes", "no", "maybe"]}' | $(VALGRIND) build/llm score $(SMALL_MODEL) --threads 2

large-shapes: build/llm
	@if [ -z "$(LONG_MODEL)" ]; then echo "large-shapes: left out, no model in build/models (make quickstart fetches one)"; exit 0; fi; \
	want=$$(build/llm perplexity $(LONG_MODEL) $(LONG_TEXT) --ctx 2048 --threads 1) || exit 1; \
	for options in "--threads 2" "--threads 2 --kernels generic"; do \
	    got=$$(build/llm perplexity $(LONG_MODEL) $(LONG_TEXT) --ctx 2048 $$options) || exit 1; \
	    [ "$$got" = "$$want" ] || { echo "large-shapes: $$options gives $$got, not $$want"; exit 1; }; \
	done; \
	echo "large-shapes: $$want"

batch-statements:
	@PG_CONFIG='$(PG_CONFIG)' bash src/test/batch_statements.sh $(LONG_STATEMENTS)

.PHONY: interrupts
test-long: interrupts
interrupts:
	@PG_CONFIG='$(PG_CONFIG)' bash src/test/interrupts.sh $(LONG_INTERRUPTS)

.PHONY: extract pgvector minilm replay
test-long: extract replay pgvector minilm
replay:
	@PG_CONFIG='$(PG_CONFIG)' bash src/test/check_replay.sh $(LONG_MODEL)

extract:
	@if ! $(LONG_PYTHON) -c 'import jsonschema, rfc3986_validator' 2> /dev/null; then \
	    echo "extract: left out, $(LONG_PYTHON) has no packages jsonschema and rfc3986-validator"; exit 0; fi; \
	PG_CONFIG='$(PG_CONFIG)' PYTHON='$(LONG_PYTHON)' bash src/test/check_extract.sh $(LONG_SCHEMAS) $(LONG_MODEL)

pgvector:
	@[ -n "$(LONG_PGVECTOR)" ] || echo "pgvector: left out, LONG_PGVECTOR names no pg_config"
	@for config in $(LONG_PGVECTOR); do bash src/test/check_pgvector.sh "$$config" || exit 1; done

minilm:
	@if [ -z "$(LONG_MINILM)" ] || [ -z "$(LONG_REFERENCE)" ] || [ -z "$(LONG_EVALS)" ]; then \
	    echo "minilm: left out, LONG_MINILM, LONG_REFERENCE or LONG_EVALS is not given"; exit 0; fi; \
	PG_CONFIG="$(PG_CONFIG)" bash -c '. src/tools/setup.sh; SERVER_FOLDER=build/test-server; build_and_install; start_server; \
	    trap stop_server EXIT; PSQL=$$PSQL python3 src/test/check_minilm.py "$$@"' - \
	    "$(LONG_MINILM)" "$(LONG_REFERENCE)" "$(LONG_EVALS)"
