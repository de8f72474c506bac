#!/bin/sh
# iprange 1.0.4: a network with a wildcard mask becomes the whole Internet.
#
# iprange reads `192.0.2.0/255.255.255.0`, and refuses a netmask with holes by name. Lists that come from routers have wildcard masks, the
# complement of a netmask: `192.0.2.0/0.0.0.255`. One would expect it to be understood or refused. It is taken for a netmask of no bits, and
# the list is 0.0.0.0/0 from then on, whatever else is in it. Nothing is said, and the exit code is 0.
#
# Seen with iprange 1.0.4+ds-2 of Debian 12:
#   192.0.2.0/255.255.255.0: 192.0.2.0/24; 192.0.2.0/0.0.0.255: 0.0.0.0/0, exit code 0, no words
# The script fails when that is not so any more.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
chmod 755 "$folder"
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download iprange=1.0.4+ds-2
dpkg -x iprange_*.deb root

read_as() {
    code=0
    echo "$1" | root/usr/bin/iprange >out 2>err || code=$?
    tr '\n' ' ' <out | sed 's/ $//'
}

netmask=$(read_as 192.0.2.0/255.255.255.0)
wildcard=$(read_as 192.0.2.0/0.0.0.255; [ -s err ] || echo ", exit code $code, no words")
seen="192.0.2.0/255.255.255.0: $netmask; 192.0.2.0/0.0.0.255: $wildcard"
echo "$seen"
[ "$seen" = "192.0.2.0/255.255.255.0: 192.0.2.0/24; 192.0.2.0/0.0.0.255: 0.0.0.0/0, exit code 0, no words" ]
