#!/usr/bin/env bash
# bench.sh: what `make bench` and `make bench-rows` run: gets what measuring needs into build/ if it is not there yet (SmolLM2,
# Python packages, llama.cpp built from the source package llama-cpp-python), then measures. Arguments: bench or rows, then
# those of bench.py.
. src/tools/setup.sh

what=$1
shift

# a PostgreSQL of one's own brings its own PL/Python, or that column is left out
install_packages g++ cmake python3-venv $([ "$what" != rows ] || [ -n "$PG_CONFIG_GIVEN" ] || echo "postgresql-plpython3-$PG_VERSION_WANTED")
fetch_model
if [ ! -x build/bench-venv/bin/python ]; then
	say "Getting Python packages"
	with_progress build/bench-venv.log sh -c "python3 -m venv build/bench-venv &&
		build/bench-venv/bin/pip install -q numpy gguf onnx onnxruntime tokenizers jinja2 diskcache typing_extensions llguidance" ||
		fail "the Python packages could not be fetched" "check the network, remove build/bench-venv and run this command again; the log is build/bench-venv.log."
fi
if [ ! -e build/peer-source ]; then
	say "Fetching the source of llama.cpp (77 MB, from the Python package llama-cpp-python)"
	mkdir -p build/peer-download
	with_progress build/peer-download.log python3 -m pip download --no-deps -q -d build/peer-download \
		--no-binary llama-cpp-python llama-cpp-python==0.3.36 ||
		fail "the source of llama.cpp could not be fetched" "check the network and run this command again; the log is build/peer-download.log."
	mkdir -p build/peer-source.part
	tar -xzf build/peer-download/*.tar.gz -C build/peer-source.part --strip-components=1
	mv build/peer-source.part build/peer-source
fi
if [ ! -x build/peer/bin/llama-server ]; then
	say "Building llama.cpp (takes long)"
	# shared libraries: llama-cpp-python runs on the same build
	with_progress build/peer.log sh -c "cmake -S build/peer-source/vendor/llama.cpp -B build/peer -DCMAKE_BUILD_TYPE=Release \
		-DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=ON -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
		-DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_TOOLS=ON &&
		cmake --build build/peer -j$(nproc) --target llama-bench llama-batched-bench llama-server llama-quantize llama-perplexity" ||
		fail "llama.cpp could not be built" "the log is build/peer.log."
fi
if [ "$what" = rows ]; then
	exec bash src/test/bench/rows.sh "$@"
fi
exec build/bench-venv/bin/python src/test/bench/bench.py "$@"
