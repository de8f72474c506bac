#!/bin/sh
# systemd 252: ProtectKernelTunables=yes drops a TemporaryFileSystem= that stands at /sys/fs/bpf, without a word.
#
# A service that pins BPF maps may see nothing of /sys/fs/bpf but a folder of its own: `TemporaryFileSystem=/sys/fs/bpf:ro` hides the rest,
# and `BindPaths=` puts the folder back. One would expect that to hold whatever else protects the unit, since ProtectKernelTunables= is
# said to make variables read-only. It has an entry of its own for /sys/fs/bpf, and of two entries for one place only one is mounted: the
# service starts, succeeds, and sees the BPF file system of the host.
#
# Seen with systemd 252.39-1~deb12u2 of Debian 12, as PID 1 in namespaces of its own, on Linux 6.18:
#   /sys/fs/bpf is tmpfs, and with ProtectKernelTunables=yes bpf_fs
# The script fails when that is not so any more. It needs root, and Debian's perl and util-linux.
set -eu

folder=$(mktemp -d)
group=/sys/fs/cgroup/finding-$$
[ -e /sys/fs/cgroup/cgroup.procs ] || group=/sys/fs/cgroup/unified/finding-$$
boss=
finish() {
    # The end of unshare is that of the namespace; it may have ended by itself, which the script has told then.
    if [ -n "$boss" ] && kill -0 "$boss"; then
        kill -KILL "$boss"
        wait "$boss" || [ $? -eq 137 ]
    fi
    tries=0
    while [ -d "$group" ] && ! find "$group" -depth -type d -exec rmdir {} +; do
        tries=$((tries + 1))
        [ "$tries" -le 10 ] || break
        sleep 1
    done
    rm -rf --one-file-system "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM
chmod 755 "$folder"
(cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download mmdebstrap=1.3.5-7 && dpkg -x mmdebstrap_*.deb tool)
perl "$folder/tool/usr/bin/mmdebstrap" --quiet --variant=minbase --include=systemd=252.39-1~deb12u2 bookworm "$folder/root"

for protected in no yes; do
    cat >"$folder/root/etc/systemd/system/look-$protected.service" <<UNIT
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ProtectKernelTunables=$protected
TemporaryFileSystem=/sys/fs/bpf:ro
ExecStart=/bin/sh -c 'stat --file-system --format %%T /sys/fs/bpf'
StandardOutput=file:/look-$protected
UNIT
done
cat >"$folder/root/etc/systemd/system/look.target" <<UNIT
[Unit]
DefaultDependencies=no
Wants=look-no.service look-yes.service
After=look-no.service look-yes.service
UNIT
cat >"$folder/init" <<'INIT'
set -eu
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t sysfs sysfs "$1/sys"
mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
mount -t bpf -o mode=0700 bpf "$1/sys/fs/bpf"
mount -t tmpfs tmpfs "$1/run"
cd "$1"
mkdir -p mnt/old
pivot_root . mnt/old
umount -l /mnt/old
exec env -i container=finding PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=look.target --log-target=null --show-status=false
INIT
mkdir "$group"
sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" unshare --net --pid --mount --cgroup --uts --ipc --fork --kill-child=KILL -- \
    sh "$folder/init" "$folder/root" </dev/null >"$folder/console" 2>&1 &
boss=$!
tries=0
until [ -s "$folder/root/look-no" ] && [ -s "$folder/root/look-yes" ]; do
    tries=$((tries + 1))
    [ "$tries" -le 60 ] || { cat "$folder/console"; exit 1; }
    sleep 1
done
seen="/sys/fs/bpf is $(cat "$folder/root/look-no"), and with ProtectKernelTunables=yes $(cat "$folder/root/look-yes")"
echo "$seen"
[ "$seen" = "/sys/fs/bpf is tmpfs, and with ProtectKernelTunables=yes bpf_fs" ]
