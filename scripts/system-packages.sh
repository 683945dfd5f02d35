#!/bin/sh
# Sees to what pip cannot install: a C++ compiler (demanded), Python's headers and venv (installed or
# demanded), libjpeg-turbo and Highway (installed if that is possible without asking; else CMake
# downloads their sources). FASTPRE_SYSTEM_PACKAGES=0 installs nothing.
#
# usage: system-packages.sh PYTHON
set -eu

python=$1
cxx=${CXX:-}

if [ -z "$cxx" ] || ! command -v "${cxx%% *}" >/dev/null; then
    echo "no C++ compiler found (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install)" >&2
    exit 2
fi

has_header() { printf '#include <stdio.h>\n#include <%s>\n' "$1" | $cxx -std=c++20 -E -x c++ - >/dev/null 2>&1; }
has_python_header() {
    "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}
has_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

as_root=
may_install=no
if [ "${FASTPRE_SYSTEM_PACKAGES:-1}" != 0 ]; then
    if [ "$(id -u)" = 0 ]; then
        may_install=yes
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
        may_install=yes
    fi
fi

# install APT DNF BREW: one package under its names; "-" where there is none. Never fails: what is
# still missing is noticed afterwards.
updated=no
install() {
    if [ "$may_install" = yes ] && command -v apt-get >/dev/null; then
        [ "$1" != - ] || return 0
        if [ $updated = no ]; then $as_root apt-get update -qq >/dev/null 2>&1 || true; updated=yes; fi
        echo "installing $1"
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>&1 ||
            echo "apt-get could not install $1"
    elif [ "$may_install" = yes ] && command -v dnf >/dev/null; then
        [ "$2" != - ] || return 0
        echo "installing $2"
        $as_root dnf install -y -q "$2" >/dev/null 2>&1 || echo "dnf could not install $2"
    elif [ "${FASTPRE_SYSTEM_PACKAGES:-1}" != 0 ] && command -v brew >/dev/null; then
        [ "$3" != - ] || return 0
        echo "installing $3"
        brew install -q "$3" >/dev/null 2>&1 || echo "brew could not install $3"
    fi
}

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
debian_python=python3
case $python in /usr/bin/python3*) debian_python=python$version ;; esac

if ! has_python_header; then install "$debian_python-dev" python3-devel -; fi
if ! has_python_header; then
    echo "$python has no Python.h (Debian, Ubuntu: apt install $debian_python-dev; Fedora: dnf install python3-devel)" >&2
    exit 2
fi
if ! has_venv; then install "$debian_python-venv" - -; fi
if ! has_venv && ! "$python" -m virtualenv --version >/dev/null 2>&1; then
    echo "$python cannot make virtual environments (Debian, Ubuntu: apt install $debian_python-venv)" >&2
    exit 2
fi
if ! has_header jpeglib.h; then install libjpeg-dev libjpeg-turbo-devel jpeg-turbo; fi
if ! has_header hwy/highway.h; then install libhwy-dev highway-devel highway; fi
# CMake prefers libjpeg-turbo 3 from source to an older one of the system, where it can download and
# assemble it.
case $(uname -m) in
    x86_64 | amd64) command -v nasm >/dev/null || install nasm nasm nasm ;;
esac
