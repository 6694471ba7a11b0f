#!/bin/bash
# SPDX-License-Identifier: ISC
# The Debian package on a whole Debian: its kernel with AppArmor, systemd as
# process 1, Postfix behind. `make vm-check` calls it, as root, with the package
# and the provider that Postfix is to deliver to. The machine is an emulated one
# without any network; guest.sh is what happens in it. VM_ROOT names a folder
# with such a Debian, or where to keep one for the next time.
set -eu
here=$(dirname "$(realpath "$0")")
deb=$(realpath "$1")
provider=$(realpath "$2")
mirror=${DEB_MIRROR:-http://deb.debian.org/debian}
seconds=${VM_SECONDS:-1200}
work=$(mktemp -d /tmp/flyball-vm-XXXXXX)
root=$work/root
trap 'rm -rf "$work"' EXIT

inside() {
	chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
		DEBIAN_FRONTEND=noninteractive "$@" >"$work/out" 2>&1 || {
		cat "$work/out" >&2
		echo "vm: failed: $*" >&2
		exit 1
	}
}

if [ -n "${VM_ROOT:-}" ] && [ -d "$VM_ROOT/boot" ]; then
	echo "vm: a copy of $VM_ROOT"
	cp -a "$VM_ROOT" "$root"
else
	echo "vm: a Debian with a kernel, systemd, AppArmor and Postfix"
	debootstrap --variant=minbase \
		--include=systemd,systemd-sysv,dbus,apparmor,logrotate,iproute2,procps,ca-certificates,tzdata \
		bookworm "$root" "$mirror" >"$work/out" 2>&1 || {
		tail -5 "$work/out" >&2
		exit 1
	}
	# A chroot's services aren't started by packages.
	printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	cp /etc/resolv.conf "$root/etc/"
	echo vm.example > "$root/etc/hostname"
	echo '127.0.0.1 vm.example vm localhost' > "$root/etc/hosts"
	inside apt-get install -y --no-install-recommends \
		linux-image-cloud-amd64 initramfs-tools zstd postfix swaks libevent-openssl-2.1-7
	[ -z "${VM_ROOT:-}" ] || cp -a "$root" "$VM_ROOT"
fi

echo "vm: the package"
cp "$deb" "$root/tmp/flyball.deb"
inside apt-get install -y --no-install-recommends /tmp/flyball.deb
install -m 755 "$provider" "$root/usr/local/bin/flyball-provider"
install -m 755 "$here/guest.sh" "$root/usr/local/sbin/"
cat > "$root/etc/systemd/system/guest.service" <<'END'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/guest.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStopPost=/usr/bin/systemctl poweroff --no-block
[Install]
WantedBy=graphical.target
END
inside systemctl enable guest.service
inside systemctl set-default graphical.target
truncate -s 3G "$work/disk"
mkfs.ext4 -q -d "$root" "$work/disk"

echo "vm: start"
timeout "$seconds" qemu-system-x86_64 -nodefaults -no-reboot -display none \
	-accel tcg,thread=multi -cpu max -smp 2 -m 1024 -serial stdio \
	-drive "file=$work/disk,format=raw,if=virtio,cache=unsafe" \
	-kernel "$(ls "$root"/boot/vmlinuz-*)" -initrd "$(ls "$root"/boot/initrd.img-*)" \
	-append "root=/dev/vda rw console=ttyS0 quiet" </dev/null >"$work/console" 2>&1 || true
if [ -n "${VM_CONSOLE:-}" ]; then
	cp "$work/console" "$VM_CONSOLE"
fi
tr -d '\r' < "$work/console" | grep -a '^vm: ' || true
tr -d '\r' < "$work/console" | grep -aqx 'vm: ok' || {
	tail -40 "$work/console" >&2
	exit 1
}
