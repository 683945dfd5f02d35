#!/bin/sh
# Runs the CUDA tests of every format under compute-sanitizer, tool by tool; OUT/sanitizer-TOOL.txt has what each says.
#
# usage: gpu-sanitizer.sh PYTHON OUT [SECONDS]
#
# SECONDS for all of it, default 600. Exit status: 1 if a tool finds an error, 77 if there is no compute-sanitizer.
set -eu

[ $# -ge 2 ] || {
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
python=$1 out=$2 seconds=${3:-600}
case $python in /*) ;; */*) python=$PWD/$python ;; esac
case $out in /*) ;; *) out=$PWD/$out ;; esac
mkdir -p "$out"
rm -f "$out"/sanitizer-*.txt
cd "$(dirname "$0")/.."

tool=$(command -v compute-sanitizer || true)
for place in "${CUDA_HOME:-}"/bin "${CUDA_PATH:-}"/bin /usr/local/cuda*/bin /opt/cuda/bin /opt/nvidia/*/compute-sanitizer \
    /opt/nvidia/*/*/compute-sanitizer /opt/nvidia/*/*/*/compute-sanitizer; do
    if [ -z "$tool" ] && [ -x "$place/compute-sanitizer" ]; then tool=$place/compute-sanitizer; fi
done
[ -n "$tool" ] || {
    echo "gpu-sanitizer: no compute-sanitizer on PATH, in /usr/local/cuda*/bin or in /opt/nvidia" >&2
    exit 77
}

# Every tensor is an allocation of its own, so that leaving one is noticed.
export PYTORCH_NO_CUDA_MEMORY_CACHING=1 CUDA_MODULE_LOADING=LAZY
end=$(($(date +%s) + seconds)) left=5 status=0

# NAME TOOL TESTS: one run, within its share of the time; its tests end themselves, so that the tool has its last word.
# Our kernels only, by their namespace in mangled names; errors of CUDA calls are reported by whatever library.
check() {
    now=$(date +%s)
    rest=$((end - now))
    share=$((rest / left)) left=$((left - 1))
    # Less than 40 s is of little use: torch has to be imported under the tool.
    if [ $share -lt 40 ]; then share=$((rest < 40 ? rest : 40)); fi
    [ $share -ge 15 ] || {
        echo "gpu-sanitizer: $1: not run, no time left"
        return
    }
    code=0
    FASTPRE_TESTS_UNTIL=$((now + share - share / 6)) timeout -k 5 "$((share + 1))" "$tool" --tool "$2" --error-exitcode 3 \
        --kernel-name kns=fastpre --print-limit 20 --target-processes all \
        "$python" -m pytest -q -p no:cacheprovider tests/cuda/test_cuda_formats.py -k "$3" \
        >"$out/sanitizer-$1.txt" 2>&1 || code=$?
    echo "gpu-sanitizer: $1: exit status $code: $(grep -h SUMMARY "$out/sanitizer-$1.txt" | tail -n 1)"
    [ $code -eq 0 ] || status=1
}

# The most telling first. Runs without nvJPEG stand alone, should it not get on with the tool. initcheck sees kernels'
# writes only: what the engines write would all be reported.
check memcheck memcheck 'exact or coefficients'
check racecheck racecheck 'exact or coefficients'
check memcheck-nvjpeg memcheck 'hardware or hybrid'
check synccheck synccheck 'exact or coefficients'
check initcheck initcheck 'exact or coefficients'
exit $status
