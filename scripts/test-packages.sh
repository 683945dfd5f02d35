#!/bin/sh
# Installs what some tests start and pip cannot bring: message brokers and a browser (Debian, as root). Never fails:
# without one of them its tests are skipped, and say so.
#
# usage: test-packages.sh
set -eu

missing() { # COMMAND PACKAGE
    command -v "$1" >/dev/null || echo "$2"
}
packages="$(missing redis-server redis-server) $(missing nats-server nats-server) $(missing chromium chromium)"
[ -n "$(echo $packages)" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed, so some tests are skipped:" $packages
    exit 0
fi
apt-get update -qq >/dev/null 2>&1 || true
for package in $packages; do
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
        echo "apt-get could not install $package"
done
