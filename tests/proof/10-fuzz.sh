#!/bin/bash
# Each libFuzzer target for FUZZ_SECONDS (600), from its corpus. What it finds stays in build/fuzz/found/<target>/:
# a crash belongs into tests/fuzz/corpus/ together with its fix.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
failed=0
for target in build/fuzz/tests/fuzz_*; do
    name=$(basename "$target")
    found=build/fuzz/found/$name
    mkdir -p "$found/corpus"
    if "$target" -max_total_time="${FUZZ_SECONDS:-600}" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$found/" \
        "$found/corpus" "tests/fuzz/corpus/${name#fuzz_}" >"$found/log" 2>&1; then
        echo "$name: $(grep -a '^Done' "$found/log")"
    else
        tail -n 30 "$found/log"
        echo "$name: FAILED, see $found"
        failed=1
    fi
done
exit $failed
