#!/bin/sh
# run.sh SOURCE WORK: the tests stand in a folder of their own in WORK, so that `cloister` is the installed package.
set -eu
source=$1 work=$2
app=$work/app
mkdir -p "$app"
echo '{"type": "module"}' >"$app/package.json"
cp "$source"/tests/integration/sdk_node/*.mjs "$source"/tests/integration/sdk_node/*.ts "$app"
cd "$app"
"$work/node_modules/.bin/tsc" --noEmit --strict --module nodenext --target es2022 --types node types.ts
exec /usr/bin/python3 -B "$source/tests/support/with_service.py" execsvc.running_max=1 execsvc.queue_per_tenant=1 \
    node --test sdk.test.mjs
