#!/bin/sh
# pytricia 1.3.0: an IPv4 network holds IPv6 addresses that begin with the same bits, and an IPv6 network holds IPv4 addresses.
#
# A trie of prefixes that takes both families would be expected to keep them apart, or to refuse the one that it was not made for. A
# PyTricia takes both, and compares bits from the left, whatever family they are of: in a trie of 128 bits 10.0.0.0/8 is the answer for
# a00::1, and in one of 32 bits, which is the default, 2001:db8::/32 goes in and is the answer for 32.1.13.184. Nothing is raised.
#
# Seen with pytricia 1.3.0 of PyPI on Python 3.11:
#   10.0.0.0/8 for a00::1: found; 2001:db8::/32 for 32.1.13.184: found
# The script fails when that is not so any more.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pytricia==1.3.0
seen=$("$folder/venv/bin/python" - <<'LOOK'
import pytricia

wide, narrow = pytricia.PyTricia(128), pytricia.PyTricia()
wide["10.0.0.0/8"] = "found"
narrow["2001:db8::/32"] = "found"
print(f"10.0.0.0/8 for a00::1: {wide.get('a00::1')}; 2001:db8::/32 for 32.1.13.184: {narrow.get('32.1.13.184')}")
LOOK
)
echo "$seen"
[ "$seen" = "10.0.0.0/8 for a00::1: found; 2001:db8::/32 for 32.1.13.184: found" ]
