#!/bin/sh
# Builds the C++ tests and the Python module with sanitizers, and runs them:
#   address, undefined   all C++ tests; the Python tests of memory, threads, forks and errors
#   thread               the pool, one image on several threads, sixteen callers: in C++ and in Python
# Without nvcc: kernels run on the emulator here, and the build that has no CUDA is tried as well. Where the
# nvidia-nvjpeg wheel is installed, our declarations are held against its header, and its library is loaded.
#
# usage: sanitize.sh BIN_FOLDER_OF_THE_ENVIRONMENT
set -eu

bin=$(cd "$1" && pwd)
PATH=$bin:$PATH
mkdir -p build
wheel=$(python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/nvidia/cu13
set -- "-DPython_EXECUTABLE=$bin/python" "-Dpybind11_DIR=$(python -m pybind11 --cmakedir)"
if [ -d "$wheel/include" ]; then
    set -- "$@" "-DFASTPRE_NVJPEG_INCLUDE=$wheel/include"
    FASTPRE_REAL_NVJPEG=$(find "$wheel/lib" -name 'libnvjpeg.so.*' | head -n 1)
    export FASTPRE_REAL_NVJPEG
fi

timed() {
    began=$(date +%s)
    "$@"
    echo "-- $(($(date +%s) - began)) s: $*"
}

# build PRESET: configured, compiled, and its C++ tests run.
build() {
    preset=$1
    shift
    cmake --preset "$preset" "$@" >"build/$preset.log" || {
        cat "build/$preset.log"
        exit 1
    }
    timed cmake --build --preset "$preset"
    timed ctest --preset "$preset"
}

# run_python PRESET LIBRARY PYTEST_ARGUMENT...: the Python tests on the preset's module. The interpreter is not
# instrumented, so the sanitizer's library has to be loaded before it; libstdc++ as well, which is where it looks for
# __cxa_throw.
run_python() {
    preset=$1
    runtime=$(${CXX:-c++} -print-file-name="$2")
    shift 2
    if [ ! -e "$runtime" ]; then
        echo "-- ${CXX:-c++} has no shared runtime (GCC brings it): the Python tests are not run with $preset"
        return
    fi
    site=$PWD/build/$preset/python
    rm -rf "$site"
    mkdir -p "$site"
    cp -r python/fastpre "$site"
    rm -f "$site"/fastpre/_core*.so
    cmake --install "build/$preset" --prefix "$site" >/dev/null
    # GCC's sanitizers do not see to their locks at a fork(): where a thread ends at that moment, the child hangs, with
    # any module. A thread that Python has joined may still be ending.
    echo 'import os, time; os.register_at_fork(before=lambda: time.sleep(0.1))' >"$site/sitecustomize.py"
    timed env PYTHONPATH="$site" LD_PRELOAD="$runtime $(${CXX:-c++} -print-file-name=libstdc++.so.6)" \
        python -m pytest -q -p no:cacheprovider "$@"
}

# Python frees little at exit, so leaks are not looked for there; a MemoryError is what tests of huge sizes expect. What is
# run is what hands memory over, shares it, forks, fails or ends early; pixels and the emulated device are the C++ tests',
# and the command line adds no memory of its own. Left out: forks while other threads are at work, and torch's forked
# workers: see above.
build asan-ubsan "$@"
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
cases="tests/decode/test_bad_input.py tests/decode/test_blocks_of_input.py tests/decode/test_exif.py
    tests/decode/test_limits.py tests/decode/test_truncated.py tests/threads tests/cuda/test_forked_workers.py tests/interop/test_compile.py
    tests/interop/test_transforms.py"
for topic in batch_errors batch_memory cancellation hostile_calls input output tensor_memory; do
    cases="$cases tests/calls/test_$topic.py"
done
# shellcheck disable=SC2086
run_python asan-ubsan libasan.so $cases -k "not fork_in_the_middle and not loader_workers"

# What happens inside of libraries that are not instrumented is not looked at, but their locks are seen. Forks are left
# out: this sanitizer cannot follow threads into a child.
build tsan "$@"
export TSAN_OPTIONS=halt_on_error=1:ignore_noninstrumented_modules=1
run_python tsan libtsan.so tests/threads -k "not fork and not loader_workers"
