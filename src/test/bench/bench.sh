#!/usr/bin/env bash
# bench.sh: what `make bench` runs: gets the model and builds llama.cpp (from the source package llama-cpp-python) under
# build/peer if they are not there yet, then measures. Arguments: threads, rounds, Markdown file, model or nothing.
. src/tools/setup.sh

threads=$1
rounds=$2
out=$3
model=${4:-}

install_packages g++ cmake
if [ -z "$model" ]; then
	fetch_model
	model=build/models/$MODEL_FILE
fi
if [ ! -x build/peer/bin/llama-bench ] || [ ! -x build/peer/bin/llama-batched-bench ]; then
	say "Fetching the source of llama.cpp (77 MB, from the Python package llama-cpp-python)"
	mkdir -p build/peer-source
	with_progress build/peer-download.log python3 -m pip download --no-deps -q -d build/peer-source \
		--no-binary llama-cpp-python llama-cpp-python==0.3.36 ||
		fail "the source of llama.cpp could not be fetched" "check the network and run this command again; the log is build/peer-download.log."
	tar -xzf build/peer-source/*.tar.gz -C build/peer-source --strip-components=1
	say "Building llama.cpp (takes long)"
	with_progress build/peer.log sh -c "cmake -S build/peer-source/vendor/llama.cpp -B build/peer -DCMAKE_BUILD_TYPE=Release \
		-DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
		-DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_TOOLS=ON &&
		cmake --build build/peer -j$(nproc) --target llama-bench llama-batched-bench" ||
		fail "llama.cpp could not be built" "the log is build/peer.log."
fi
say "Measuring $(basename "$model") with $threads threads, $rounds rounds"
exec python3 src/test/bench/bench.py --model "$model" --threads "$threads" --rounds "$rounds" --out "$out"
