#!/bin/bash
# SPDX-License-Identifier: ISC
# The Debian package's life in a system of its own: installed, started with what
# it ships, used, upgraded, removed, purged. `make deb-check` calls it, as root,
# with the package; it fetches a Debian (debootstrap) unless DEB_ROOT names a
# folder that has one. Nothing outside of that is touched, and the daemon runs in
# a network of its own.
set -eu
deb=$(realpath "$1")
mirror=${DEB_MIRROR:-http://deb.debian.org/debian}
root=$(mktemp -d /tmp/flyball-package-XXXXXX)
pid=

finish() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	umount "$root/proc" 2>/dev/null || true
	rm -rf "$root"
}
trap finish EXIT

fail() {
	echo "package: $*" >&2
	[ ! -e "$root/tmp/log" ] || tail -20 "$root/tmp/log" >&2
	exit 1
}

inside() {
	chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
		DEBIAN_FRONTEND=noninteractive "$@"
}

quietly() {
	"$@" >"$root/tmp/out" 2>&1 || {
		cat "$root/tmp/out" >&2
		fail "failed: $*"
	}
}

# As the unit starts it, but for systemd; its network has a loopback and nothing
# else.
start() {
	mkdir -p "$root/run/flyball"
	inside chown flyball:flyball /run/flyball
	: > "$root/tmp/log"
	unshare -n sh -c 'ip link set lo up && exec "$@"' sh \
		chroot "$root" setpriv --reuid flyball --regid flyball \
		--clear-groups --no-new-privs /usr/sbin/flyballd \
		>"$root/tmp/log" 2>&1 &
	pid=$!
	for _ in $(seq 100); do
		! grep -q event=ready "$root/tmp/log" || return 0
		kill -0 "$pid" 2>/dev/null || fail "flyballd ended"
		sleep 0.1
	done
	fail "flyballd isn't ready"
}

stop() {
	kill "$pid"
	wait "$pid" || fail "flyballd ended with $?"
	pid=
}

near() { # in the daemon's network
	nsenter -t "$pid" -n chroot "$root" "$@"
}

submit() {
	near bash -c 'exec 3<>/dev/tcp/127.0.0.1/2525
		say() { printf "%s\r\n" "$1" >&3; }
		hear() { while read -r line <&3; do
			case $line in $1" "*) return 0;; $1-*) ;; *) echo "$line"; exit 1;; esac
		done; }
		hear 220; say "EHLO x"; hear 250; say "MAIL FROM:<a@b.example>"; hear 250
		say "RCPT TO:<c@gmail.com>"; hear 250; say DATA; hear 354
		say "Subject: x"; say ""; say "x"; say .; hear 250; say QUIT; hear 221'
}

queued() {
	near flyballctl --json queue | grep -o '"message"' | wc -l
}

mode_is() {
	local is
	is=$(inside stat -c '%U:%G %a' "$2") || fail "$2 isn't there"
	[ "$is" = "$1" ] || fail "$2 is $is, not $1"
}

echo "package: a Debian to put it into"
if [ -n "${DEB_ROOT:-}" ]; then
	cp -a "$DEB_ROOT/." "$root"
else
	debootstrap --variant=minbase --include=systemd bookworm "$root" \
		"$mirror" >/dev/null
fi
chmod 755 "$root" # mktemp's is for root alone, and the daemon isn't root
cp /etc/resolv.conf "$root/etc/"
# A chroot's services aren't started by packages.
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
mount -t proc proc "$root/proc"
quietly inside apt-get update -qq
find "$root" -xdev -path "$root/proc" -prune -o -name '*flyball*' -print >"$root/tmp/before"

echo "package: install"
cp "$deb" "$root/tmp/flyball.deb"
quietly inside apt-get install -y -qq --no-install-recommends /tmp/flyball.deb
inside getent passwd flyball | grep -q ':/usr/sbin/nologin$' || fail "user flyball"
mode_is root:flyball\ 2750 /etc/flyball
mode_is root:root\ 644 /etc/flyball/flyball.yaml
inside test -L /etc/systemd/system/multi-user.target.wants/flyball.service ||
	fail "the service isn't enabled"
! inside test -e /etc/systemd/system/sockets.target.wants/flyball.socket ||
	fail "the socket is enabled"
quietly inside flyballd -t
quietly inside flyballctl check-config
quietly inside flyballctl man flyballctl
inside mkdir -p /var/lib/flyball /var/log/flyball # as systemd does
inside chown flyball:flyball /var/lib/flyball /var/log/flyball
inside chmod 700 /var/lib/flyball

echo "package: start with what it ships"
start
listening=$(nsenter -t "$pid" -n cat /proc/net/tcp /proc/net/tcp6 |
	awk '$4 == "0A" { print $2 }' | sort -u)
[ "$listening" = 0100007F:09DD ] || fail "listens at $listening"
submit || fail "mail isn't taken"
[ "$(queued)" = 1 ] || fail "mail isn't queued"
printf 'secret\n' | quietly inside flyballctl passwd -f /etc/flyball/users app
mode_is root:flyball\ 640 /etc/flyball/users
inside setpriv --reuid flyball --regid flyball --clear-groups \
	test -r /etc/flyball/users || fail "the daemon can't read its users"
mode_is flyball:flyball\ 660 /run/flyball/admin.sock
stop

echo "package: upgrade"
echo "# mine" >> "$root/etc/flyball/flyball.yaml"
mkdir "$root/tmp/next"
dpkg-deb -R "$deb" "$root/tmp/next"
sed -i 's/^Version: .*/&+next/' "$root/tmp/next/DEBIAN/control"
echo "# of the next version" >> "$root/tmp/next/etc/flyball/flyball.yaml"
(cd "$root/tmp/next" && md5sum etc/flyball/flyball.yaml >/dev/null)
quietly dpkg-deb --root-owner-group -b "$root/tmp/next" "$root/tmp/next.deb"
quietly inside apt-get install -y -qq -o Dpkg::Options::=--force-confold /tmp/next.deb
inside dpkg-query -W -f '${Version}' flyball | grep -q '+next$' || fail "no upgrade"
grep -q '^# mine' "$root/etc/flyball/flyball.yaml" || fail "the configuration was replaced"
start
[ "$(queued)" = 1 ] || fail "the queue is gone"
stop

echo "package: remove"
quietly inside apt-get remove -y -qq flyball
! inside test -e /usr/sbin/flyballd || fail "flyballd is left"
inside test -e /var/lib/flyball/spool.mdb || fail "remove took the queue"
inside test -e /etc/flyball/flyball.yaml || fail "remove took the configuration"

echo "package: purge"
inside rm /etc/flyball/users
quietly inside apt-get purge -y -qq flyball
rm -rf "$root/run/flyball" # systemd's
find "$root" -xdev \( -path "$root/proc" -o -path "$root/tmp" -o -path "$root/var/log/apt" \) -prune \
	-o -name '*flyball*' -print >"$root/tmp/after"
left=$(diff "$root/tmp/before" "$root/tmp/after" | sed -n 's/^> //p')
[ -z "$left" ] || fail "left: $left"
inside getent passwd flyball >/dev/null || fail "the user's number is free for others"
echo "package: ok"
