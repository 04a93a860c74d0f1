# The command-line tool: runtime and kernels without a server.
TOOL_OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/tools/*.c)))
$(TOOL_OBJS): $(HEADERS_ALL)
src/tools/%.o: override CPPFLAGS := $(RUNTIME_CPPFLAGS)

build/llm: $(TOOL_OBJS) $(patsubst %.c,%.o,$(RUNTIME_SRC) $(KERNEL_SRC))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $^ -o $@ $(LIBS_RUNTIME)

EXTRA_CLEAN += $(TOOL_OBJS)

include src/tools/bench.mk
