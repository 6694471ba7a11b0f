#!/bin/sh
# SPDX-License-Identifier: ISC
# Installs what is missing from Debian's packages: `deps.sh build` for building
# and the demonstration, `deps.sh all` for the tests' peers too, `deps.sh bench`
# for the benchmark's, `deps.sh mta` for the demonstration behind Postfix,
# `deps.sh cluster` for that of several relays, `deps.sh fuzz` for libFuzzer,
# `deps.sh deb` for the Debian package, `deps.sh vm` for its trial in a machine,
# `deps.sh lint` for what looks at the code (that's among the tests). Does nothing
# where nothing is missing; uses sudo where it isn't root.
set -eu

build="gcc make pkg-config libc6-dev libevent-dev libssl-dev libyaml-dev
libhiredis-dev liblmdb-dev libjansson-dev libcrypt-dev libidn2-dev libglib2.0-dev uthash-dev
libsystemd-dev libpcre2-dev libc-ares-dev libpsl-dev libgmime-3.0-dev zlib1g-dev
libjs-chart.js
python3"
# What the tests talk with: real clients, servers and tools. redis-tools has the
# server's program too; the package redis-server would start one at once.
peers="libcmocka-dev liblua5.1-0-dev groff-base openssl ca-certificates swaks libnet-ssleay-perl msmtp
util-linux procps xz-utils chromium chromium-driver curl jq sslscan apparmor logrotate redis-tools"
# An MTA that stands here already isn't replaced: tests that need Postfix are
# skipped then.
mta="postfix"

# MTAs whose packages can't be installed beside Postfix, and a writer of
# journals that would start a service: unpacked under build/mta, where tests run
# them from, with the libraries that they need.
unpacked="exim4-daemon-light opensmtpd systemd-journal-remote libmicrohttpd12"
libraries="libdb5.3 libgnutls-dane0 libidn12 libnsl2 libpam0g"

# What the benchmark compares with, beside Postfix.
rivals="dovecot-core"

packaging="debhelper dh-apparmor dpkg-dev fakeroot lintian debootstrap iproute2"

emulator="qemu-system-x86 debootstrap e2fsprogs"

linters="clang-tidy cppcheck valgrind"

fuzzer="clang libclang-rt-14-dev"

wanted=$build
case ${1:-all} in
build | mta | deb) unpacked= ;;
vm) unpacked= wanted="$build $emulator" ;;
cluster) unpacked= wanted="$build redis-tools" ;;
*) wanted="$build $peers $libraries $linters $fuzzer" ;;
esac
[ "${1:-all}" != bench ] || wanted="$wanted $rivals"
[ "${1:-all}" != deb ] || wanted="$build $packaging"

is_installed() {
	dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null |
		grep -qx installed
}

# A machine where this fails lacks some tests' peers and nothing else.
unpack() {
	dir=$(dirname "$0")/../build/mta
	[ ! -d "$dir/$1" ] || return 0
	mkdir -p "$dir"
	(
		cd "$dir"
		rm -rf "$1".tmp "$1"_*.deb
		apt-get download -qq "$1" >/dev/null 2>&1 &&
			dpkg-deb -x "$1"_*.deb "$1".tmp &&
			chmod -R u-s,g-s "$1".tmp && mv "$1".tmp "$1" &&
			rm -f "$1"_*.deb
	) || echo "deps: $1 can't be unpacked; tests that need it are skipped" >&2
}

missing=
for package in $wanted; do
	is_installed "$package" || missing="$missing $package"
done
case ${1:-all} in
build | cluster | deb) wants_mta= ;;
*) wants_mta=yes ;;
esac
if [ -n "$wants_mta" ] && ! is_installed "$mta"; then
	if [ -e /usr/sbin/sendmail ]; then
		echo "deps: another MTA is installed; Postfix isn't put in its place" >&2
	else
		missing="$missing $mta"
	fi
fi
unpack_all() {
	for package in $unpacked; do
		unpack "$package"
	done
}

if [ -z "$missing" ]; then
	unpack_all
	exit 0
fi

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
echo "deps: installing$missing"
# Postfix without a configuration: it is there, but it isn't started.
echo "postfix postfix/main_mailer_type select No configuration" |
	$as_root debconf-set-selections 2>/dev/null || true
$as_root apt-get update -qq || true
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq \
	--no-install-recommends $missing >/dev/null
unpack_all
