#!/bin/bash
# Certificates for TCP, for trying it out and for the tests: a CA of one's own, P-256 keys, 30 days.
# In production the CA is the operator's own (docs/OPERATIONS.md); what these certificates hold is what his must hold.
set -euo pipefail
usage="usage: certs.sh DIR                       ca.pem, server.pem for localhost, client.pem for dns:client.test
       certs.sh DIR server|client NAME SAN...   one more: NAME.pem and NAME.key (SAN: DNS:x, URI:x, IP:x)
DAYS=N in the environment says how long they are good."
[ $# = 1 ] || [ $# -ge 4 ] || { echo "$usage" >&2; exit 2; }
dir=$1 days=${DAYS:-30}
umask 077
mkdir -p "$dir"

# make NAME OPTION...: a key, and a certificate for it
make()
{
    local name=$1; shift
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$days" -subj "/CN=$name" \
        -keyout "$dir/$name.key" -out "$dir/$name.pem" "$@" 2>"$dir/.log" || { cat "$dir/.log" >&2; exit 1; }
    rm -f "$dir/.log"
    chmod 0644 "$dir/$name.pem"
}

# issue server|client NAME SAN...
issue()
{
    local use=$1 name=$2; shift 2
    local san; san=$(IFS=,; echo "$*")
    make "$name" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -addext basicConstraints=critical,CA:FALSE \
        -addext keyUsage=critical,digitalSignature -addext "extendedKeyUsage=${use}Auth" -addext "subjectAltName=$san"
}

if [ $# = 1 ]; then
    make ca -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign
    issue server server DNS:localhost IP:127.0.0.1 IP:::1
    issue client client DNS:client.test
else
    issue "${@:2}"
fi
