#!/bin/sh
# Builds the C++ tests with address and undefined-behaviour sanitizers, and runs them. Without nvcc: kernels run on the
# emulator here, and the build that has no CUDA is tried as well.
#
# usage: sanitize.sh CMAKE_BIN_FOLDER
set -eu

bin=$1
build=build/sanitize
PATH=$(cd "$bin" && pwd):$PATH
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DFASTPRE_BUILD_PYTHON=OFF -DFASTPRE_CUDA=OFF \
    -DFASTPRE_BUILD_TESTS=ON -DFASTPRE_WERROR=ON -DFASTPRE_SANITIZE=address,undefined >/dev/null
cmake --build $build
UBSAN_OPTIONS=print_stacktrace=1 ctest --test-dir $build --output-on-failure
