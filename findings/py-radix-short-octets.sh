#!/bin/sh
# py-radix 1.1.0: 192.0.2/24 is 192.0.0.0/24.
#
# Route lists leave out octets that are zero: 192.0.2/24 is 192.0.2.0/24, and 10.1/16 is 10.1.0.0/16, as routers and netaddr (with
# expand_partial) read them. One would expect a radix tree for routing to read them so too, or to refuse them, as ipaddress does. py-radix
# reads the address by the rule of inet_aton(3), where the last number fills all that is left: 192.0.2 is 192.0.0.2, whose first 24 bits
# are another network. Nothing is raised.
#
# Seen with py-radix 1.1.0 of PyPI on Python 3.11:
#   192.0.2/24: 192.0.0.0/24, 10.1/16: 10.0.0.0/16
# The script fails when that is not so any more.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install py-radix==1.1.0
seen=$("$folder/venv/bin/python" - <<'LOOK'
import radix

print(", ".join(f"{text}: {radix.Radix().add(text).prefix}" for text in ("192.0.2/24", "10.1/16")))
LOOK
)
echo "$seen"
[ "$seen" = "192.0.2/24: 192.0.0.0/24, 10.1/16: 10.0.0.0/16" ]
