#!/bin/sh
# Prints the newest Python from 3.10 to 3.14 on PATH, preferring one with the headers that extensions
# are compiled against. $PYTHON names another one.
set -eu

suitable() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}
has_headers() {
    "$1" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

if [ -n "${PYTHON:-}" ]; then
    if suitable "$PYTHON"; then command -v "$PYTHON"; exit; fi
    echo "PYTHON=$PYTHON is not a Python from 3.10 to 3.14" >&2
    exit 2
fi

headerless=
for name in python3.14 python3.13 python3.12 python3.11 python3.10 python3; do
    path=$(command -v "$name") && suitable "$path" || continue
    if has_headers "$path"; then echo "$path"; exit; fi
    headerless=${headerless:-$path}
done
if [ -n "$headerless" ]; then echo "$headerless"; exit; fi
echo "no Python from 3.10 to 3.14 on PATH (Debian, Ubuntu: apt install python3; or set PYTHON=/path/to/python3)" >&2
exit 2
