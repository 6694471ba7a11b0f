#!/bin/sh
# SPDX-License-Identifier: ISC
# Reads every #include of ours and fails on an arrow against the layers:
#   conf/base <- conf <- scheduler <- sink <- daemon
# conf/ and scheduler/ are pure: no clock, no sockets, no loop, no log there.
set -eu
cd "$(dirname "$0")/.."
status=0

# layer FILE-OR-INCLUDE -> its height
height() {
	case $1 in
	conf/base/*) echo 0 ;;
	conf/*) echo 1 ;;
	scheduler/*) echo 2 ;;
	sink/*) echo 3 ;;
	daemon/*) echo 4 ;;
	*) echo 9 ;;
	esac
}

complain() {
	echo "layers: $1" >&2
	status=1
}

for file in conf/*.[ch] conf/base/*.[ch] scheduler/*.[ch] sink/*.[ch] \
	daemon/*.[ch]; do
	own=$(height "$file")
	for inc in $(sed -n 's/^#include "\([^"]*\)".*/\1/p' "$file"); do
		case $inc in
		*.inc) continue ;;
		esac
		other=$(height "$inc")
		[ "$other" -le "$own" ] ||
			complain "$file includes $inc, which is above it"
		case $inc in
		*_private.h)
			[ "$(dirname "$inc")" = "$(dirname "$file")" ] ||
				complain "$file includes $inc of another folder"
			;;
		esac
	done
done

# The scheduler decides; it must not look at clocks or the world.
for file in scheduler/*.[ch]; do
	if grep -nE '#include ("conf/base/(clock|log)\.h"|<(time|sys/time|sys/socket|unistd|event2/.*|openssl/.*|pthread)\.h>)' "$file"; then
		complain "$file isn't pure"
	fi
	if grep -nE '\b(float|double)\b' "$file" | grep -v '\*'; then
		complain "$file decides with floating point"
	fi
done

[ $status -eq 0 ] && echo "layers: ok"
exit $status
