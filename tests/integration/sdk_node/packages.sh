#!/bin/sh
# packages.sh SOURCE WORK: WORK/node_modules as package-lock.json of api/node has it, and the package itself in it, packed and
# unpacked. npm's own cache serves what it has; nothing that is brought runs a script.
set -eu
source=$1 work=$2
for tool in node npm; do
    if ! command -v "$tool" >/dev/null; then
        echo "$tool is missing (deploy/packages.txt)" >&2
        [ "${TESTS_MUST_RUN:-}" != 1 ] || exit 1
        exit 77
    fi
done
mkdir -p "$work"
cp "$source/api/node/package.json" "$source/api/node/.npmrc" "$work"
if ! cmp -s "$source/api/node/package-lock.json" "$work/installed-lock.json"; then
    cp "$source/api/node/package-lock.json" "$work"
    (cd "$work" && npm ci --ignore-scripts --prefer-offline --no-audit --no-fund --loglevel=error)
    cp "$source/api/node/package-lock.json" "$work/installed-lock.json"
fi
(cd "$source/api/node" && npm pack --silent --pack-destination "$work")
rm -rf "$work/node_modules/cloister"
mkdir -p "$work/node_modules/cloister"
tar -xzf "$work"/cloister-*.tgz -C "$work/node_modules/cloister" --strip-components=1
