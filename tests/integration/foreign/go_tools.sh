#!/bin/sh
# go_tools.sh GO BIN MODULE@VERSION...: the programs in BIN/VERSION-NAME, built unless they are there.
set -eu
go=$1 bin=$2
shift 2
mkdir -p "$bin"
for module in "$@"; do
    path=${module%@*} version=${module#*@}
    name=$(basename "$path")
    [ ! -x "$bin/$name-$version" ] || continue
    GOBIN=$bin GOFLAGS=-mod=mod GOTOOLCHAIN=local CGO_ENABLED=0 "$go" install "$module"
    mv "$bin/$name" "$bin/$name-$version"
    ln -sf "$name-$version" "$bin/$name"
done
