#!/bin/sh
# Pushes prefixes into a list of a daemon, signed by HTTP Message Signatures (RFC 9421) with an Ed25519 key. No token goes over the wire,
# and what was signed can be used once.
#
#   openssl genpkey -algorithm ed25519 -out push.key && chmod 600 push.key     # once
#   openssl pkey -in push.key -pubout                                          # for the administrator of the daemon
#   ./signed-push.sh https://fw1.example.com:8443 push.key KEYID LIST PREFIX...
#
# Needs openssl (1.1.1 or later for the key, 3.0 or later to sign) and curl. TTL=1h sets an end, CA=FILE names the authority of the daemon.
set -eu

[ $# -ge 5 ] || { echo "usage: $0 URL KEYFILE KEYID LIST PREFIX..." >&2; exit 2; }
url=${1%/} key=$2 keyid=$3 list=$4
shift 4

method=POST path=/v1/entries query=

# The words of the body have nothing that JSON would have to escape.
entries=
for prefix in "$@"; do
    case "$list$prefix${TTL-}" in *[!A-Za-z0-9._:/-]*) echo "$0: \`$list\`, \`$prefix\` or the TTL has odd characters" >&2; exit 2 ;; esac
    entry="{\"list\":\"$list\",\"prefix\":\"$prefix\"${TTL:+,\"ttl\":\"$TTL\"}}"
    entries=$entries${entries:+,}$entry
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '{"add":[%s]}' "$entries" > "$work/body"

# Host and port as they stand in the header Host: in small letters, without the port that the scheme has anyway (RFC 9421 section 2.2.3).
authority=$(printf '%s' "${url#*://}" | tr '[:upper:]' '[:lower:]')
case $url in https://*) authority=${authority%:443} ;; http://*) authority=${authority%:80} ;; esac

# What the body is (RFC 9530), and that the signature is of now and used once.
digest="sha-256=:$(openssl dgst -sha256 -binary "$work/body" | openssl base64 -A):"
nonce=$(openssl rand -hex 16)
params="(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=$(date +%s);nonce=\"$nonce\";keyid=\"$keyid\""

# The signature base: each component in a line, no line feed at the end (RFC 9421 section 2.5). An empty query is `?` (section 2.2.7).
printf '"@method": %s\n"@authority": %s\n"@path": %s\n"@query": ?%s\n"content-digest": %s\n"@signature-params": %s' \
    "$method" "$authority" "$path" "$query" "$digest" "$params" > "$work/base"

openssl pkeyutl -sign -rawin -inkey "$key" -in "$work/base" -out "$work/signature"

exec 3< "$work/body"
curl --fail-with-body --silent --show-error ${CA:+--cacert "$CA"} --request "$method" --url "$url$path${query:+?$query}" \
    --header 'Content-Type: application/json' \
    --header "Content-Digest: $digest" \
    --header "Signature-Input: sig1=$params" \
    --header "Signature: sig1=:$(openssl base64 -A -in "$work/signature"):" \
    --data-binary @- <&3
