#!/bin/sh
# grepcidr 2.0: an address is found in the tail of a longer number.
#
# grepcidr looks for the addresses in lines of any form and leaves parts of longer ones alone: neither 192.0.2.5.6 nor 1.192.0.2.5 is
# taken for an address of 192.0.2.0/24. One would expect the same of 1192.0.2.5, which is no address. It is found: digits before the
# first octet do not count, however many there are. In a log, a version or a build number counts as a source.
#
# Seen with grepcidr 2.0-2 of Debian 12, which looks for 192.0.2.0/24:
#   192.0.2.5 yes, 192.0.2.5.6 no, 1.192.0.2.5 no, 1192.0.2.5 yes, agent/994192.0.2.5 yes
# The script fails when that is not so any more.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
chmod 755 "$folder"
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download grepcidr=2.0-2
dpkg -x grepcidr_*.deb root

seen=
for text in 192.0.2.5 192.0.2.5.6 1.192.0.2.5 1192.0.2.5 agent/994192.0.2.5; do
    found=$(echo "$text" | root/usr/bin/grepcidr 192.0.2.0/24 >out && echo yes || echo no)
    seen="$seen${seen:+, }$text $found"
done
echo "$seen"
[ "$seen" = "192.0.2.5 yes, 192.0.2.5.6 no, 1.192.0.2.5 no, 1192.0.2.5 yes, agent/994192.0.2.5 yes" ]
