#!/bin/sh
# Makes a virtual machine's disk from a distribution's packages: image.sh SUITE DIR writes
# DIR/vmlinuz, DIR/initrd and DIR/root.img (ext4). What is tested is not in it: the checkout is
# mounted when the machine runs, so a disk serves until this file changes.
set -eu
suite=$1
dir=$2
tmp=$dir.tmp
root=$tmp/root
rm -rf --one-file-system "$tmp"
mkdir -p "$tmp"

# What `npm run setup` installs, a kernel with its initrd, systemd, and Docker for its own tests.
packages=linux-image-amd64,systemd-sysv,udev,dbus,kmod,zstd,nats-server,iproute2,iputils-ping
packages=$packages,nftables,tcpdump,iperf3,curl,procps,make,gcc,libc6-dev,docker.io,iptables
packages=$packages,busybox-static
[ "$suite" = bookworm ] || packages=$packages,docker-cli
# Its mounts of /proc, /sys and /dev go with it, also when it is interrupted.
unshare --mount mmdebstrap --quiet --variant=minbase --mode=root --include="$packages" \
	"$suite" "$root"

# First boot would enable everything; services of the packages wait until a test wants them.
echo 6865646c6865646c6865646c6865646c >"$root/etc/machine-id"
echo heddle-vm >"$root/etc/hostname"
printf '127.0.0.1 localhost heddle-vm\n' >"$root/etc/hosts"
chroot "$root" systemctl --quiet disable docker.service docker.socket containerd.service \
	nats-server.service 2>/dev/null
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer \
	dpkg-db-backup.timer e2scrub_all.timer fstrim.timer getty.target serial-getty@ttyS0.service

cat >"$root/etc/systemd/system/heddle-vm.service" <<'UNIT'
[Unit]
Description=What this machine was started for

[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/sh -c 'mkdir -p /host && modprobe 9pnet_virtio && \
  mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro checkout /host && \
  exec sh /host/test/vm/guest.sh'
ExecStopPost=-/bin/systemctl poweroff --force
UNIT

cp -L "$root/vmlinuz" "$root/initrd.img" "$tmp/"
mv "$tmp/initrd.img" "$tmp/initrd"
mkfs.ext4 -q -L root -d "$root" "$tmp/root.img" 6G
rm -rf "$root"
mv "$tmp" "$dir"
