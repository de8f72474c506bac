#!/bin/sh
# xdp-filter 1.3.1: with the policy deny and an allowed address, the allowed address is out as soon as its neighbour entry is.
#
# `xdp-filter load -p deny` drops what no rule allows, and `xdp-filter ip ADDRESS` allows an address. One would expect what that address needs
# to get through with it, as every filter of IP addresses above the link layer does. ARP has no IP header, so no rule of an address allows
# it: the connection goes on while the hosts know each other's MAC address, which is a minute or so, and then nothing does. It looks as if
# it worked, and the status counts the loss as XDP_DROP without a rule.
#
# Seen with xdp-tools 1.3.1-1 of Debian 12 on Linux 6.18, over a veth pair in generic mode; an answer of HTTP or none (000):
#   before: 200; allowed: 200; allowed, after the neighbour entry has gone: 000
# The script fails when that is not so any more. It needs root, curl and python3, and works in network namespaces of its own.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
chmod 755 "$folder"
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download xdp-tools=1.3.1-1 libxdp1=1.3.1-1 libbpf1=1:1.1.2-0+deb12u1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >look <<'LOOK'
set -eu
libraries=$PWD/root/usr/lib/x86_64-linux-gnu
filter() { LD_LIBRARY_PATH="$libraries" LIBXDP_OBJECT_PATH="$libraries/bpf" root/usr/sbin/xdp-filter "$@" >&2; }
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
ip link add host type veth peer name client
unshare --net sleep 60 &
other=$!
server=
trap 'kill $other $server' EXIT
sleep 1
ip link set client netns $other
ip addr add 192.0.2.1/24 dev host
ip link set host up
nsenter --net --target $other sh -c 'ip addr add 192.0.2.2/24 dev client && ip link set client up'
python3 -m http.server --bind 192.0.2.1 80 >/dev/null 2>&1 &
server=$!
sleep 2
# 28 of curl(1): no answer in time.
answer() {
    nsenter --net --target $other curl --silent --max-time 2 --output /dev/null --write-out '%{http_code}' http://192.0.2.1/ || [ $? -eq 28 ]
}
before=$(answer)
filter load -m skb -p deny host
filter ip -m src 192.0.2.2
allowed=$(answer)
ip neigh flush dev host
nsenter --net --target $other ip neigh flush dev client
later=$(answer)
echo "before: $before; allowed: $allowed; allowed, after the neighbour entry has gone: $later"
filter unload host
LOOK
seen=$(unshare --net --mount sh look)
echo "$seen"
[ "$seen" = "before: 200; allowed: 200; allowed, after the neighbour entry has gone: 000" ]
