#!/bin/sh
# iprange 1.0.4: the IPv6 networks of a list become IPv4 addresses that nobody has written.
#
# iprange is for IPv4. Of a list that has both families one would expect it to leave the IPv6 lines out, or to refuse the list, as it does
# with a line that it calls not understood. It reads digits up to the colon, takes them for a host, and a host of digits alone for the
# number of an IPv4 address: 2001:db8::/32 comes out as 0.0.7.209. A remark stands on standard error, and the exit code is 0.
#
# Seen with iprange 1.0.4+ds-2 of Debian 12:
#   192.0.2.0/24 and 2001:db8::/32 are 0.0.7.209 192.0.2.0/24, exit code 0
# The script fails when that is not so any more.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
chmod 755 "$folder"
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download iprange=1.0.4+ds-2
dpkg -x iprange_*.deb root

code=0
printf '192.0.2.0/24\n2001:db8::/32\n' | root/usr/bin/iprange >out 2>err || code=$?
seen="192.0.2.0/24 and 2001:db8::/32 are $(tr '\n' ' ' <out | sed 's/ $//'), exit code $code"
echo "$seen"
[ "$seen" = "192.0.2.0/24 and 2001:db8::/32 are 0.0.7.209 192.0.2.0/24, exit code 0" ]
