#!/bin/sh
# nft 1.0.6: a set that is written and read back as JSON has lost the counters of its elements.
#
# `nft list ruleset` is made to be read back by `nft -f`, and `nft -j` to be the same for programs. Elements of a set with `counter` have
# packets and bytes in both. As text they come back with what they had counted. As JSON they come back with zeros, although the document has
# the numbers and the exit code is 0: what an element has counted until a backup or a reboot is gone.
#
# Seen with nftables 1.0.6-2+deb12u2 of Debian 12 on Linux 6.18:
#   written: 5, 5 in JSON; read back from text: 5, from JSON: 0
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
set -eu
export LD_LIBRARY_PATH="$1/usr/lib/x86_64-linux-gnu"
root=$1
nft() { "$root/usr/sbin/nft" "$@"; }
packets() { nft list set inet finding one | sed -n 's/.*counter packets \([0-9]*\) .*/\1/p'; }
nft add table inet finding
nft add set inet finding one '{ type ipv4_addr; counter; }'
nft add element inet finding one '{ 192.0.2.1 counter packets 5 bytes 500 }'
nft list ruleset >text
nft -j list ruleset >json
written="written: $(packets), $(grep -o '"packets": [0-9]*' json | cut -d ' ' -f 2) in JSON"
nft flush ruleset
nft -f text
text=$(packets)
nft flush ruleset
nft -j -f json
echo "$written; read back from text: $text, from JSON: $(packets)"
LOOK
seen=$(unshare --net sh look root)
echo "$seen"
[ "$seen" = "written: 5, 5 in JSON; read back from text: 5, from JSON: 0" ]
