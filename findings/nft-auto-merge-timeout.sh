#!/bin/sh
# nft 1.0.6: a set with auto-merge gives neighbours that it merges the timeout of the one that came last.
#
# A set of bans has `flags interval, timeout` and auto-merge, so that overlaps are no errors. Each element has its own timeout, and one
# would expect a ban of an hour to end after an hour, whatever is banned beside it: merged ranges would have to be the same in all. A
# neighbour that comes later is merged, and its timeout counts for both: the ban of an hour becomes one for ever beside a permanent one, and
# a ban of two hours ends after one. Nothing is said, and the exit code is 0.
#
# Seen with nftables 1.0.6-2+deb12u2 of Debian 12 on Linux 6.18:
#   an hour, then for ever: 203.0.113.0/24; two hours, then one: 192.0.2.0/24 timeout 1h
# The script fails when that is not so any more. It needs root, and works in a network namespace of its own.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
chmod 755 "$folder"
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 libnftnl11=1.2.4-2 \
    libmnl0=1.0.4-3 libjansson4=2.14-2 libedit2=3.1-20221030-2 libgmp10=2:6.2.1+dfsg1-1.1 libxtables12=1.8.9-2 libbsd0=0.11.7-2 \
    libmd0=1.0.4-2
for package in *.deb; do
    dpkg -x "$package" root
done
cat >look <<'LOOK'
export LD_LIBRARY_PATH="$1/usr/lib/x86_64-linux-gnu"
nft() { "$root/usr/sbin/nft" "$@"; }
root=$1
nft add table inet finding
merged() {
    nft add set inet finding "$1" '{ type ipv4_addr; flags interval, timeout; auto-merge; }'
    nft add element inet finding "$1" "{ $2 }"
    nft add element inet finding "$1" "{ $3 }"
    nft list set inet finding "$1" | sed -n 's/.*elements = { \([^}]*\) }.*/\1/p' | sed 's/ expires .*//'
}
echo "an hour, then for ever: $(merged one '203.0.113.0/25 timeout 1h' 203.0.113.128/25);" \
    "two hours, then one: $(merged two '192.0.2.0/25 timeout 2h' '192.0.2.128/25 timeout 1h')"
LOOK
seen=$(unshare --net sh look root)
echo "$seen"
[ "$seen" = "an hour, then for ever: 203.0.113.0/24; two hours, then one: 192.0.2.0/24 timeout 1h" ]
