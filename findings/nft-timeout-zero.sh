#!/bin/sh
# nft 1.0.6: `timeout 0s` is the default timeout of the set and not for ever.
#
# Where a set has a default timeout, an element that is to stay needs to say so. ipset, whose sets are moved to nftables by
# ipset-translate(8), has `timeout 0` for that. One would expect `timeout 0s` of nft to do the same, or to be refused. It is taken, and says
# nothing: the element ends when the default says, as if no timeout had been written.
#
# Seen with nftables 1.0.6-2+deb12u2 and ipset 7.17-1 of Debian 12 on Linux 6.18; the default is an hour:
#   ipset, timeout 0: for ever; nft, timeout 0s: ends
# The script fails when that is not so any more. It needs root, and works in a network namespace of its own.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
chmod 755 "$folder"
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 libnftnl11=1.2.4-2 \
    libmnl0=1.0.4-3 libjansson4=2.14-2 libedit2=3.1-20221030-2 libgmp10=2:6.2.1+dfsg1-1.1 libxtables12=1.8.9-2 libbsd0=0.11.7-2 \
    libmd0=1.0.4-2 ipset=7.17-1 libipset13=7.17-1
for package in *.deb; do
    dpkg -x "$package" root
done
cat >look <<'LOOK'
set -eu
export LD_LIBRARY_PATH="$1/usr/lib/x86_64-linux-gnu"
root=$1
nft() { "$root/usr/sbin/nft" "$@"; }
ipset() { "$root/usr/sbin/ipset" "$@"; }
ipset create one hash:ip timeout 3600
ipset add one 192.0.2.1 timeout 0
ipset list one | grep -q '^192.0.2.1 timeout 0$' && of_ipset='for ever' || of_ipset=ends
nft add table inet finding
nft add set inet finding one '{ type ipv4_addr; flags timeout; timeout 1h; }'
nft add element inet finding one '{ 192.0.2.1 timeout 0s }'
nft list set inet finding one | grep -q '192.0.2.1 .*expires 59m' && of_nft=ends || of_nft='for ever'
echo "ipset, timeout 0: $of_ipset; nft, timeout 0s: $of_nft"
LOOK
seen=$(unshare --net sh look root)
echo "$seen"
[ "$seen" = "ipset, timeout 0: for ever; nft, timeout 0s: ends" ]
