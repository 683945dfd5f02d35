#!/bin/sh
# Installs the message brokers that tests and benchmarks of serving start themselves, on ports of their own:
# redis-server and nats-server (Debian, Ubuntu). Without them those tests are skipped.
set -eu

have() { command -v redis-server >/dev/null && command -v nats-server >/dev/null; }

if ! have && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null 2>&1 || true
    apt-get install -y -qq --no-install-recommends redis-server nats-server >/dev/null 2>&1 || true
fi
if ! have; then
    echo "no redis-server or no nats-server (Debian, Ubuntu: apt install redis-server nats-server)" >&2
    exit 2
fi
