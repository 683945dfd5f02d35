#!/bin/sh
# Builds the C++ tests and the Python module with sanitizers, and runs them:
#   address, undefined   all C++ tests; the Python tests of memory, threads, forks, errors and data loaders
#   thread               the C++ tests of the pool, of one image on several threads, of sixteen callers
# Without nvcc: kernels run on the emulator here, and the build that has no CUDA is tried as well. Where the
# nvidia-nvjpeg wheel is installed, our declarations are held against its header, and its library is loaded.
#
# usage: sanitize.sh BIN_FOLDER_OF_THE_ENVIRONMENT
set -eu

bin=$(cd "$1" && pwd)
PATH=$bin:$PATH
mkdir -p build
wheel=$(python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/nvidia/cu13
if [ -d "$wheel/include" ]; then
    set -- "-DFASTPRE_NVJPEG_INCLUDE=$wheel/include"
    FASTPRE_REAL_NVJPEG=$(find "$wheel/lib" -name 'libnvjpeg.so.*' | head -n 1)
    export FASTPRE_REAL_NVJPEG
else
    set --
fi

timed() {
    began=$(date +%s)
    "$@"
    echo "-- $(($(date +%s) - began)) s: $*"
}

timed cmake --preset asan-ubsan -DPython_EXECUTABLE="$bin/python" -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" \
    "$@" >build/asan-ubsan.log || { cat build/asan-ubsan.log; exit 1; }
timed cmake --build --preset asan-ubsan
timed ctest --preset asan-ubsan

# The interpreter is not instrumented, so the sanitizer's library has to be loaded before it; libstdc++ as well, which
# is where it looks for __cxa_throw. Clang has its library elsewhere.
runtime=$(${CXX:-c++} -print-file-name=libasan.so)
if [ "$runtime" = libasan.so ]; then
    echo "-- no libasan.so beside ${CXX:-c++}: the Python tests are not run under sanitizers (GCC brings it)"
else
    site=build/asan-ubsan/python
    rm -rf "$site"
    mkdir -p "$site"
    cp -r python/fastpre "$site"
    rm -f "$site"/fastpre/_core*.so
    cmake --install build/asan-ubsan --prefix "$site" >/dev/null
    # Python frees little at exit, so leaks are not looked for here; a MemoryError is what tests of huge sizes expect.
    # What is run is what hands memory over, shares it, forks, fails or ends early; pixels and the emulated device are
    # the C++ tests' above, and the command line adds no memory of its own.
    cases=
    for topic in bad_input batch_errors batch_memory blocks_of_input compile ending_calls exif forked_workers \
        hostile_calls input memory output threads transforms; do
        cases="$cases tests/test_$topic.py"
    done
    # shellcheck disable=SC2086
    timed env PYTHONPATH="$PWD/$site" LD_PRELOAD="$runtime $(${CXX:-c++} -print-file-name=libstdc++.so.6)" \
        ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
        python -m pytest -q -p no:cacheprovider $cases tests/data
fi

timed cmake --preset tsan >build/tsan.log || { cat build/tsan.log; exit 1; }
timed cmake --build --preset tsan
timed ctest --preset tsan
