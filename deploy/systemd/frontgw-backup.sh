#!/bin/sh
# frontgw-backup CONFIG DIRECTORY: a new archive, the audit log checked against the last night's head, archives older than
# KEEP_DAYS (30) removed. Nothing is removed before the new archive is there.
set -eu
config=$1 directory=$2
frontgw=${FRONTGW:-/usr/bin/frontgw}
mkdir -p "$directory"
now=$(date -u +%Y%m%dT%H%M%SZ)
"$frontgw" --config "$config" backup "$directory/frontgw-$now.tar.gz"
if [ -s "$directory/audit-head" ]; then
    head=$("$frontgw" --config "$config" audit verify "$(cat "$directory/audit-head")")
else
    head=$("$frontgw" --config "$config" audit verify)
fi
printf '%s\n' "$head" >"$directory/audit-head.new"
mv "$directory/audit-head.new" "$directory/audit-head"
find "$directory" -maxdepth 1 -name 'frontgw-*.tar.gz' -mtime "+${KEEP_DAYS:-30}" -delete
