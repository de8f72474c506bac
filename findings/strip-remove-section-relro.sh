#!/bin/sh
# GNU strip 2.40: removing one allocated section takes the RELRO segment away, without a word.
#
# Whoever wants the same octets from two builds removes `.note.gnu.build-id`, and whoever wants a small binary other sections that nobody
# reads. One would expect the program headers to stay as they are but for the segment that the section stood in. `strip --remove-section`
# of any allocated section writes a binary without PT_GNU_RELRO: it runs, but its relocations stay writable after the start, and only a
# linter (lintian: hardening-no-relro) tells. Sections that are not allocated, and `strip --strip-all` alone, leave the segment.
#
# Seen with binutils 2.40-2 of Debian 12 on x86_64, and `true` of coreutils 9.1-1:
#   as installed: 1 RELRO segment; without .gnu_debuglink: 1; without .note.gnu.build-id: 0; without .note.ABI-tag: 0
# The script fails when that is not so any more.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
chmod 755 "$folder"
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download coreutils=9.1-1 binutils-x86-64-linux-gnu=2.40-2 libbinutils=2.40-2 \
    binutils-common=2.40-2 libctf0=2.40-2
for package in *.deb; do
    dpkg -x "$package" root
done
export LD_LIBRARY_PATH="$folder/root/usr/lib/x86_64-linux-gnu"
tools="root/usr/bin/x86_64-linux-gnu"

relro() {
    "$tools-readelf" --segments --wide "$1" | awk '/GNU_RELRO/ { found++ } END { print found + 0 }'
}

without() {
    "$tools-strip" "--remove-section=$1" -o stripped root/bin/true
    ./stripped
    relro stripped
}

seen="as installed: $(relro root/bin/true) RELRO segment; without .gnu_debuglink: $(without .gnu_debuglink); \
without .note.gnu.build-id: $(without .note.gnu.build-id); without .note.ABI-tag: $(without .note.ABI-tag)"
echo "$seen"
[ "$seen" = "as installed: 1 RELRO segment; without .gnu_debuglink: 1; without .note.gnu.build-id: 0; without .note.ABI-tag: 0" ]
