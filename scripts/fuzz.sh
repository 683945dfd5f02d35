#!/bin/sh
# Builds the libFuzzer targets with sanitizers and runs each, a quarter of the time, over generated seeds (and the
# corpus, if it is there); then the server's messages, in Python. New inputs stay in build/fuzz/corpus, so a later run
# goes on from them.
#
# usage: fuzz.sh CMAKE_BIN_FOLDER SECONDS
set -eu

bin=$1
seconds=$2
build=build/fuzz

find_clang() {
    for name in clang++ clang++-22 clang++-21 clang++-20 clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14; do
        command -v $name >/dev/null || continue
        # libFuzzer's runtime is a package of its own on Debian.
        if echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
            $name -x c++ - -fsanitize=fuzzer,address -o /dev/null 2>/dev/null; then
            echo $name
            return
        fi
    done
}

clang=$(find_clang)
if [ -z "$clang" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null 2>&1 || true
    apt-get install -y -qq clang >/dev/null 2>&1 || true
    version=$(clang++ -dumpversion 2>/dev/null | cut -d. -f1)
    apt-get install -y -qq "libclang-rt-$version-dev" >/dev/null 2>&1 || true
    clang=$(find_clang)
fi
if [ -z "$clang" ]; then
    echo "no clang++ with libFuzzer (Debian, Ubuntu: apt install clang libclang-rt-dev)" >&2
    exit 2
fi

PATH=$(cd "$bin" && pwd):$PATH
c_compiler=$(echo "$clang" | sed 's/clang++/clang/')
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER="$c_compiler" \
    -DCMAKE_CXX_COMPILER="$clang" -DFASTPRE_BUILD_PYTHON=OFF -DFASTPRE_CUDA=OFF -DFASTPRE_BUILD_FUZZERS=ON \
    -DFASTPRE_SANITIZE=address,undefined >/dev/null
cmake --build $build
rm -rf $build/seeds
extra=
for folder in "${FASTPRE_CORPUS:-../shared/corpus}"/corrupt "${FASTPRE_CORPUS:-../shared/corpus}"/small; do
    if [ -d "$folder" ]; then extra="$extra $folder"; fi
done
# shellcheck disable=SC2086
"$bin/python" fuzz/make_seeds.py $build/seeds $extra
for target in preprocess baseline transcode; do
    mkdir -p "$build/corpus/$target"
    "$(find $build -name fuzz_$target -type f | head -n 1)" -max_total_time=$((seconds / 4)) -timeout=20 \
        -rss_limit_mb=4096 -dict=fuzz/dictionary.txt -print_final_stats=1 \
        "$build/corpus/$target" "$build/seeds/$target"
done

if ! "$bin/python" -c 'import atheris' 2>/dev/null; then
    echo "SKIPPED: fuzz_protocol needs atheris (wheels for Linux on x86-64, Python 3.11 to 3.13)" >&2
    exit 0
fi
"$bin/python" fuzz/make_protocol_seeds.py $build/seeds/protocol
mkdir -p $build/corpus/protocol
"$bin/python" fuzz/fuzz_protocol.py -max_total_time=$((seconds / 4)) -timeout=20 -rss_limit_mb=2048 -max_len=4096 \
    -print_final_stats=1 $build/corpus/protocol $build/seeds/protocol
