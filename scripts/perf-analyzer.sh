#!/bin/sh
# Makes a Debian 13 in a folder with NVIDIA's perf_analyzer, whose binary needs its C library (on older systems pip
# installs an empty placeholder), for tests/serve/test_perf_analyzer.py. Debian, as root; 500 MB, some minutes.
#
# usage: FASTPRE_PERF_ANALYZER="$(scripts/perf-analyzer.sh FOLDER)" pytest tests/serve/test_perf_analyzer.py
set -eu

root=$1
command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends debootstrap >&2
if [ ! -x "$root/opt/perf/bin/perf_analyzer" ]; then
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates trixie "$root" >"$root.log" 2>&1
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    cp -L /etc/resolv.conf "$root/etc/"
    chroot "$root" python3 -m venv /opt/perf >&2
    chroot "$root" /opt/perf/bin/pip install -q perf-analyzer >&2
fi
for folder in proc dev tmp; do
    mountpoint -q "$root/$folder" || mount --bind "/$folder" "$root/$folder"
done
echo "chroot $root /opt/perf/bin/perf_analyzer"
