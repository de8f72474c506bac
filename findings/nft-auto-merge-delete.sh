#!/bin/sh
# nft 1.0.6: what was added to a set with auto-merge cannot be deleted once a neighbour was merged with it.
#
# auto-merge is there so that overlapping and adjacent ranges may be added one by one. Whoever adds two networks in two commands would expect
# to delete each by the words with which it was added. After the second one both are one element, and the deletion of the first, in the
# very same words, is refused: `element does not exist`. `nft get element` with these words finds the merged one.
#
# Seen with nftables 1.0.6-2+deb12u2 of Debian 12 on Linux 6.18:
#   get 192.0.2.0/25: found; delete 192.0.2.0/25: element does not exist; left: 192.0.2.0/24
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
root=$1
nft() { "$root/usr/sbin/nft" "$@"; }
nft add table inet finding
nft add set inet finding one '{ type ipv4_addr; flags interval; auto-merge; }'
nft add element inet finding one '{ 192.0.2.0/25 }'
nft add element inet finding one '{ 192.0.2.128/25 }'
found=$(nft get element inet finding one '{ 192.0.2.0/25 }' >said 2>&1 && echo found || sed -n 's/^Error: //p' said)
deleted=$(nft delete element inet finding one '{ 192.0.2.0/25 }' >said 2>&1 && echo deleted || sed -n 's/^Error: //p' said)
echo "get 192.0.2.0/25: $found; delete 192.0.2.0/25: $deleted; left: $(nft list set inet finding one | sed -n 's/.*elements = { \([^}]*\) }.*/\1/p')"
LOOK
seen=$(unshare --net sh look root)
echo "$seen"
[ "$seen" = "get 192.0.2.0/25: found; delete 192.0.2.0/25: element does not exist; left: 192.0.2.0/24" ]
