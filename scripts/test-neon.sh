#!/bin/sh
# Builds the C++ tests for 64-bit ARM and runs them under QEMU's user mode against that architecture's
# libjpeg-turbo: the NEON kernels, and the decoder's equality with libjpeg-turbo's NEON code. Debian's
# packages for both; those for ARM are unpacked into build/neon, nothing of the machine's own changes.
#
# usage: test-neon.sh CMAKE_BIN_FOLDER [CTEST_OPTION]...
set -eu

bin=$1
shift
build=build/neon
triple=aarch64-linux-gnu
mkdir -p $build
folder=$(cd $build && pwd)

have_tools() { command -v $triple-g++ >/dev/null && command -v qemu-aarch64 >/dev/null; }
if ! have_tools && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null 2>&1 || true
    apt-get install -y -qq g++-$triple qemu-user >/dev/null 2>&1 || true
fi
if ! have_tools || ! command -v apt-get >/dev/null; then
    echo "no cross compiler or no emulator (Debian: apt install g++-$triple qemu-user)" >&2
    exit 2
fi

# A package index of its own, with the machine's sources and keys: no foreign architecture for dpkg, no root.
root=$folder/root
if [ ! -e "$root/complete" ]; then
    rm -rf "$root" "$folder/apt"
    mkdir -p "$root" "$folder/apt/lists/partial" "$folder/apt/archives/partial"
    : >"$folder/apt/status"
    (
        cd "$folder/apt"
        set -- -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State="$PWD" \
            -o Dir::State::status="$PWD/status" -o Dir::Cache="$PWD"
        if [ "$(id -u)" = 0 ]; then set -- "$@" -o APT::Sandbox::User=root; fi
        apt-get "$@" update
        apt-get "$@" download libjpeg62-turbo-dev libjpeg62-turbo libhwy-dev libhwy1
        for package in *.deb; do dpkg -x "$package" "$root"; done
    )
    rm -rf "$folder/apt"
    touch "$root/complete"
fi

PATH=$(cd "$bin" && pwd):$PATH
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DFASTPRE_BUILD_PYTHON=OFF -DFASTPRE_CUDA=OFF -DFASTPRE_BUILD_TESTS=ON \
    -DFASTPRE_WERROR=ON -DFASTPRE_LIBJPEG=SYSTEM -DFASTPRE_HWY=SYSTEM \
    -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
    -DCMAKE_C_COMPILER=$triple-gcc -DCMAKE_CXX_COMPILER=$triple-g++ \
    -DCMAKE_CXX_LIBRARY_ARCHITECTURE=$triple -DCMAKE_C_LIBRARY_ARCHITECTURE=$triple \
    -DCMAKE_CXX_FLAGS="-isystem $root/usr/include/$triple" -DCMAKE_FIND_ROOT_PATH="$root" \
    -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY \
    -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER \
    -DCMAKE_CROSSCOMPILING_EMULATOR="qemu-aarch64;-L;/usr/$triple" >/dev/null
cmake --build $build
# Not thread_pool: QEMU 7.2 does not survive a fork of a process with threads. Folders of photographs take hours here.
ctest --test-dir $build --output-on-failure -E '^thread_pool$|_(natural|small|odd|corrupt)$' "$@"
