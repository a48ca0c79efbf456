#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# First program of the debug kernel: the host's root file system, read-only, with a tmpfs above it; then the test, then
# the last questions: is the module gone, did anything leak? Tells on the kernel's command line: uml.test= uml.repo=
# uml.seconds= uml.seed= uml.trace=. What is printed goes to the second console, kernel messages to the first.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root TERM=dumb

# Second stage: on the new root.
if [ "${1-}" = inside ]; then
	shift
	exec >/dev/tty1 2>&1 </dev/null
	umount -l /mnt
	script=$1 repo=$2 seconds=$3
	export REPO=$repo SEED=$4 TRACE=$5
	echo scan=off >/sys/kernel/debug/kmemleak
	status=0
	timeout --foreground -k 5 "$seconds" bash "$script" || status=$?
	if [ $status = 124 ] || [ $status = 137 ]; then
		echo "uml: not in time: $seconds seconds of the guest's time"
		echo 8 >/proc/sys/kernel/printk
		echo d >/proc/sysrq-trigger
		echo t >/proc/sysrq-trigger
	fi
	echo "uml: status $status"
	busybox poweroff -f
	sleep 10
fi

mount -t proc proc /proc
for word in $(</proc/cmdline); do
	case $word in
	uml.test=*) script=${word#*=} ;;
	uml.repo=*) repo=${word#*=} ;;
	uml.seconds=*) seconds=${word#*=} ;;
	uml.seed=*) seed=${word#*=} ;;
	uml.trace=*) trace=${word#*=} ;;
	esac
done
mount -t tmpfs -o mode=755 mem /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work root /mnt/root
cd /mnt/root || exit
mount -t tmpfs tmp tmp
mount -t tmpfs run run
mount -t proc proc proc
mount -t sysfs sys sys
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm
mount -t devpts -o mode=620,ptmxmode=666 pts dev/pts
mount -t tmpfs shm dev/shm
mount -t debugfs debug sys/kernel/debug
mount -t configfs config sys/kernel/config
mkdir -p ".$repo"
mount -t hostfs -o "$repo" repo ".$repo"
mount -o remount,ro ".$repo"
hostname uml
ip link set lo up
pivot_root . mnt
exec chroot . /bin/bash "$repo/tests/uml/init.sh" inside "$script" "$repo" "$seconds" "$seed" "$trace" </dev/console
