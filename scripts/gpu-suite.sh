#!/bin/sh
# Tests and measures fastpre on a machine with a GPU and no network, in less than 10 minutes: installs aside what was
# brought along, runs the CUDA tests, compute-sanitizer and benchmarks/gpu.py, whose table comes last.
#
# usage: gpu-suite.sh -o OUT [-p PYTHON] [-w WHEEL] [-d FOLDER] [-c CORPUS] [-- options of benchmarks/gpu.py]
#
#   -o OUT      where gpu.json, table.txt, tests.xml and logs go
#   -p PYTHON   has torch for CUDA, torchvision, Pillow, NumPy and pytest; default python3
#   -w WHEEL    of fastpre, for that Python; default: those in dist/, else the fastpre that is installed
#   -d FOLDER   of more wheels, such as nvidia-nvjpeg and libraries to compare with; those that do not fit are named and left
#   -c CORPUS   folder with INDEX.csv; default $FASTPRE_CORPUS, else ../shared/corpus beside the repository
#
# Nothing is installed into PYTHON itself: all goes into a scratch folder, which is removed in the end.
# For a look at whether it would run at all:   gpu-suite.sh -o out -- --quick
set -eu

usage() {
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
    exit "$1"
}

out='' python=python3 wheel='' folder='' corpus=''
while getopts o:p:w:d:c:h option; do
    case $option in
    o) out=$OPTARG ;;
    p) python=$OPTARG ;;
    w) wheel=$OPTARG ;;
    d) folder=$OPTARG ;;
    c) corpus=$OPTARG ;;
    h) usage 0 ;;
    *) usage 2 >&2 ;;
    esac
done
shift $((OPTIND - 1))
[ -n "$out" ] || usage 2 >&2

root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$out"

pip_aside() {
    "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps "$@" >"$scratch/pip.log" 2>&1
}

# Whether a wheel fits this Python and machine; says so.
fits() {
    if pip_aside --dry-run --ignore-installed "$1"; then
        echo "gpu-suite: $(basename "$1")"
    else
        echo "gpu-suite: $(basename "$1") does not fit: $(tail -n 1 "$scratch/pip.log")" >&2
        return 1
    fi
}

# All that fit become this script's arguments of one pip command: into one folder, a second command would replace the
# namespace folder "nvidia" that the first one made.
options=$scratch/options
printf '%s\n' "$@" >"$options"
set --
if [ -n "$wheel" ]; then
    fits "$wheel" || exit 1
    set -- "$wheel"
else
    for candidate in "$root"/dist/fastpre-*.whl; do
        if [ -f "$candidate" ] && fits "$candidate"; then set -- "$candidate"; fi
    done
    [ $# -gt 0 ] || echo "gpu-suite: no wheel of fastpre; the one that is installed will do, if there is one" >&2
fi
if [ -n "$folder" ]; then
    [ -d "$folder" ] || {
        echo "gpu-suite: no folder $folder" >&2
        exit 2
    }
    for candidate in "$folder"/*.whl; do
        case $(basename "$candidate") in fastpre-*) continue ;; esac
        if [ -f "$candidate" ] && fits "$candidate"; then set -- "$@" "$candidate"; fi
    done
fi
if [ $# -gt 0 ] && ! pip_aside --target "$scratch/site" "$@"; then
    echo "gpu-suite: pip failed:" >&2
    cat "$scratch/pip.log" >&2
    exit 1
fi

# Some wheels bring this file, and with it the folder would hide every other folder "nvidia", nvJPEG's among them.
rm -f "$scratch/site/nvidia/__init__.py"

[ -z "$corpus" ] || export FASTPRE_CORPUS="$corpus"
export PYTHONPATH="$scratch/site${PYTHONPATH:+:$PYTHONPATH}"

# These take their time from the 9 minutes; what they find is no failure of the suite, and the table has it.
tests_s=80 sanitizer_s=110 minutes=5.5
rm -f "$out/tests.xml" "$out"/sanitizer-*.txt
case $out in /*) ;; *) out=$PWD/$out ;; esac
echo "gpu-suite: tests (up to $tests_s s) ..."
(cd "$root" && timeout -s INT -k 10 "$tests_s" "$python" -m pytest -q -p no:cacheprovider --junitxml="$out/tests.xml" \
    tests/cuda) >"$out/tests.txt" 2>&1 || true
tail -n 1 "$out/tests.txt"
if "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "gpu-suite: compute-sanitizer (up to $sanitizer_s s) ..."
    "$root/scripts/gpu-sanitizer.sh" "$python" "$out" "$sanitizer_s" || true
fi

set --
while IFS= read -r option; do
    [ -z "$option" ] || set -- "$@" "$option"
done <"$options"
status=0
"$python" "$root/benchmarks/gpu.py" --out "$out" --minutes "$minutes" "$@" || status=$?
exit "$status"
