#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# First program of a lab guest: builds a root file system from the host's
# (read-only, over 9p) with a tmpfs above it, sets up the network and hands
# over to the agent. The lab tells it on the kernel command line what to do.

export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do
	insmod /modules/$module
done

for word in $(cat /proc/cmdline); do
	case $word in
	lab.name=*) name=${word#*=} ;;
	lab.address=*) address=${word#*=} ;;
	lab.release=*) release=${word#*=} ;;
	lab.modules=*) modules=${word#*=} ;;
	lab.repo=*) repo=${word#*=} ;;
	lab.probe) probe=yes ;;
	esac
done
if [ -n "$probe" ]; then
	echo "lab: probe passed" >/dev/ttyS0
	poweroff -f
fi

p9=trans=virtio,version=9p2000.L,msize=262144
mount -t 9p -o $p9,cache=loose,ro root /low
mount -t tmpfs -o mode=755 mem /mem
mkdir /mem/root /mem/root.work /mem/modules /mem/modules.work
mount -t overlay -o lowerdir=/low,upperdir=/mem/root,workdir=/mem/root.work root /root
mkdir -p /root/lib/modules/$release
mount -t overlay -o lowerdir=/low$modules,upperdir=/mem/modules,workdir=/mem/modules.work \
	modules /root/lib/modules/$release
mount -t tmpfs tmp /root/tmp
mount -t tmpfs run /root/run
# The repository changes under a running guest: no cache there.
mkdir -p /root$repo
mount -t 9p -o $p9,cache=none,ro repo /root$repo

mount -o move /proc /root/proc
mount -o move /sys /root/sys
mount -o move /dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts -o mode=620,ptmxmode=666 pts /root/dev/pts
mount -t tmpfs shm /root/dev/shm
mount -t debugfs debug /root/sys/kernel/debug
mount -t tracefs trace /root/sys/kernel/tracing

hostname $name
echo $name >/root/etc/hostname
cat >/root/etc/hosts <<END
127.0.0.1 localhost
192.0.2.1 alpha
192.0.2.2 beta
192.0.2.3 gamma
192.0.2.4 delta
END
ip link set lo up
ip address add $address/24 dev eth0
ip link set eth0 up

cd /root/proc/sys/kernel
echo 8 >printk
echo 30 >watchdog_thresh
echo 60 >hung_task_timeout_secs
echo 0 >hung_task_panic
cd /

# Like the module, the command is the one of the moment of booting: running
# it from the uncached share would cost a tenth of a second each time.
mkdir /root/run/bin
[ ! -e /root$repo/build/user/braid ] || cp /root$repo/build/user/braid /root/run/bin/
cp /bin/agent /root/run/agent
export HOME=/root USER=root SHELL=/bin/bash LANG=C.UTF-8 TERM=linux
export PATH=/run/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$repo/user
echo "<6>lab: $name runs" >/root/dev/kmsg
exec switch_root /root /run/agent /dev/vport0p1
