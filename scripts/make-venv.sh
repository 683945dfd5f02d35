#!/bin/sh
# Makes a virtual environment with what a build without isolation needs.
#
# usage: make-venv.sh FOLDER
set -eu

here=$(dirname "$0")
python=$("$here/find-python.sh")
"$here/system-packages.sh" "$python"

echo "making $1 with $python"
rm -rf "$1"
if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    "$python" -m venv "$1"
else
    "$python" -m virtualenv -q "$1"
fi
"$1/bin/python" -m pip install -qq --disable-pip-version-check "scikit-build-core>=0.10" "pybind11>=2.13" "cmake>=3.24" ninja
