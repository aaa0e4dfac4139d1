#!/bin/sh
# Prepares a fresh Debian 12 with Rust for building outbox-relay and for running its local stack: installs what is
# missing, asks nothing, and says nothing when nothing is missing. Needs root only when something is missing. With the
# argument "tests" also what only the tests use.
set -eu

missing=""
need() { # need PACKAGE PROGRAM...: the package is missing unless all its programs are found
    package=$1
    shift
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 || { missing="$missing $package"; return 0; }
    done
}

need gcc gcc
need g++ g++
need make make
need perl perl
need pkg-config pkg-config
need maven mvn
pkg-config --exists openssl 2>/dev/null || missing="$missing libssl-dev"

# Debian keeps the servers off the search path.
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || need postgresql postgres initdb

if [ "${1:-}" = tests ]; then
    # Debian keeps it off the search path of ordinary users.
    [ -x /usr/sbin/pgbouncer ] || need pgbouncer pgbouncer
    need prometheus promtool
fi

java_major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p') || java_major=""
[ "${java_major:-0}" -ge 17 ] || missing="$missing openjdk-17-jre-headless"

python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"

[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "missing:$missing" >&2
    echo "install them as root, for example: sudo sh $0" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing:$missing" >&2
    echo "this is not a Debian system: install the equivalent packages with its own package manager" >&2
    exit 1
fi

case "$missing" in
*postgresql*)
    # The package would otherwise create a cluster and start it as a service; the stack makes its own.
    config=/etc/postgresql-common/createcluster.conf
    if ! grep -q '^ *create_main_cluster *= *false' "$config" 2>/dev/null; then
        mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" >>"$config"
    fi
    ;;
esac

case "$missing" in
*pgbouncer*)
    # The package would otherwise start it as a service; the tests start their own.
    if [ ! -e /etc/systemd/system/pgbouncer.service ]; then
        mkdir -p /etc/systemd/system
        ln -s /dev/null /etc/systemd/system/pgbouncer.service
    fi
    ;;
esac

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A file of ours exists where the package brings its own: keep ours without asking.
# shellcheck disable=SC2086 # a list of packages
if ! { apt-get -q update && apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold install $missing; } \
    >"$log" 2>&1; then
    cat "$log" >&2
    echo "installing$missing failed; the reason is above" >&2
    exit 1
fi
echo "installed:$missing"
