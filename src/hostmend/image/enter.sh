#!/bin/sh
# Run a command in a root filesystem: enter.sh ROOT COMMAND...
#
# The command gets mounts and processes of its own, all of which are gone when it ends, however it ends: /proc, a few
# devices, an empty /run, and the builder's name resolution. No service can be started, as nothing of it would stay.
set -eu
if [ "${1:-}" != "--inside" ]; then
    # --kill-child: where this is killed, so is all that it started.
    exec unshare --mount --propagation private --pid --fork --kill-child -- "$0" --inside "$@"
fi
shift
root=$(cd "$1" && pwd -P)
shift
cd "$root"
# Each filesystem that is mounted in it, such as a /var of its own, is the image, too.
below() {
    while read -r _ _ _ _ place _; do
        place=$(printf '%b' "$place")
        case $place in "$root"/*) "$@" "${place#"$root"/}" ;; esac
    done < /proc/self/mountinfo
}
read_only() { mount -o remount,bind,ro "$root/$1"; }
again() { [ ! -d "$1" ] || { mount --bind "$1" "/tmp/root/$1" && mount -o remount,bind,ro "/tmp/root/$1"; }; }
if [ "${HOSTMEND_IMAGE_READ_ONLY:-}" ]; then
    # Programs that only tell their configuration (nginx -T) make folders and open logs for it: what they write goes to
    # memory, and is gone with the command. The folder that is worked in stays the image, whatever is mounted over its path.
    mount -t tmpfs -o mode=700 tmpfs /tmp
    mkdir /tmp/upper /tmp/work /tmp/root
    if mount -t overlay -o lowerdir=.,upperdir=/tmp/upper,workdir=/tmp/work overlay /tmp/root 2> /dev/null; then
        below again
        root=/tmp/root
    else
        umount /tmp
        mount --rbind "$root" "$root"
        mount -o remount,bind,ro "$root"
        below read_only
    fi
    cd "$root"
fi
# Nothing is mounted through a link: it could lead out of the root filesystem.
over() { [ -d "$1" ] && [ ! -L "$1" ]; }
over proc && mount -t proc -o nosuid,nodev,noexec proc proc
for place in run ${HOSTMEND_IMAGE_READ_ONLY:+tmp}; do
    over "$place" && mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$place"
done
if over dev; then
    mount -t tmpfs -o mode=755,nosuid tmpfs dev
    for device in null zero full random urandom tty; do
        : > "dev/$device"
        mount --bind "/dev/$device" "dev/$device"
    done
    mkdir -p dev/shm dev/pts
    ln -s /proc/self/fd dev/fd
    ln -s /proc/self/fd/0 dev/stdin
    ln -s /proc/self/fd/1 dev/stdout
    ln -s /proc/self/fd/2 dev/stderr
fi
if [ -f etc/resolv.conf ] && [ ! -L etc/resolv.conf ] && [ -e /etc/resolv.conf ]; then
    mount --bind /etc/resolv.conf etc/resolv.conf
fi
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PYTHONDONTWRITEBYTECODE=1 SYSTEMD_OFFLINE=1
unset TMPDIR XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS
# Not exec: process 1 stays outside, so that everything inside can tell that it is in a chroot.
chroot "$root" "$@" || exit $?
