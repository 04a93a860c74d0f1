# Copies of the kernels above AVX2, compiled through SIMDe for tests on machines without these instructions
# (kernels/cpu/simd.h). Needs libsimde-dev; part of the unit tests only. SIMDe's own code is large: -O2, no debug checks.

SIMDE_SRC   = $(sort $(wildcard kernels/cpu/*_avxvnni.c kernels/cpu/*_avx512.c kernels/cpu/*_avx512vnni.c))
SIMDE_OBJS  = $(patsubst %.c,build/simde/%.o,$(SIMDE_SRC))
SIMDE_FLAGS = -std=gnu11 -O2 -Wall -Wextra -Wno-psabi -ffp-contract=off -DLLMK_SIMDE $(AVX2_FLAGS)

build/simde/%.o: %.c $(HEADERS_ALL)
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CPPFLAGS) $(SIMDE_FLAGS) -c $< -o $@

# tests that compare levels (tested_levels.h, vector_levels.h)
LEVEL_TESTS = arch_test attention_test batch_test cache_q8_test encoder_test kernels_test lora_test matmul_test recurrent_test \
	request_limits_test sampler_test scan_test selective_test vector_test
$(addprefix build/unit/,$(LEVEL_TESTS)) $(addprefix build/asan/unit/,$(LEVEL_TESTS)): $(SIMDE_OBJS)
