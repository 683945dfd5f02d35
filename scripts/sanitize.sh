#!/bin/sh
# Builds the C++ tests with address and undefined-behaviour sanitizers, and runs them. Without nvcc: kernels run on the
# emulator here, and the build that has no CUDA is tried as well. Where the nvidia-nvjpeg wheel is installed, our
# declarations are held against its header, and its library is loaded.
#
# usage: sanitize.sh CMAKE_BIN_FOLDER
set -eu

bin=$1
build=build/sanitize
wheel=$("$bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/nvidia/cu13
if [ -d "$wheel/include" ]; then
    set -- "-DFASTPRE_NVJPEG_INCLUDE=$wheel/include"
    FASTPRE_REAL_NVJPEG=$(find "$wheel/lib" -name 'libnvjpeg.so.*' | head -n 1)
    export FASTPRE_REAL_NVJPEG
else
    set --
fi
PATH=$(cd "$bin" && pwd):$PATH
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DFASTPRE_BUILD_PYTHON=OFF -DFASTPRE_CUDA=OFF \
    -DFASTPRE_BUILD_TESTS=ON -DFASTPRE_WERROR=ON -DFASTPRE_SANITIZE=address,undefined "$@" >/dev/null
cmake --build $build
UBSAN_OPTIONS=print_stacktrace=1 ctest --test-dir $build --output-on-failure
