#!/bin/bash
# Each libFuzzer target for FUZZ_SECONDS (600), from its corpus, FUZZ_JOBS (a processor each) at a time. What it finds
# stays in build/fuzz/found/<target>/: a crash belongs into tests/fuzz/corpus/ together with its fix.
set -euo pipefail
cd "$(dirname "$0")/../.."

# one TARGET: its last words, or those of its failure
one()
{
    local name found
    name=$(basename "$1")
    found=build/fuzz/found/$name
    mkdir -p "$found/corpus"
    if "$1" -max_total_time="${FUZZ_SECONDS:-600}" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$found/" \
        "$found/corpus" "tests/fuzz/corpus/${name#fuzz_}" >"$found/log" 2>&1; then
        echo "$name: $(grep -a '^Done' "$found/log")"
    else
        tail -n 30 "$found/log"
        echo "$name: FAILED, see $found"
        return 1
    fi
}

if [ "${1:-}" = one ]; then
    one "$2"
    exit
fi
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
printf '%s\n' build/fuzz/tests/fuzz_* | xargs -P "${FUZZ_JOBS:-$(nproc)}" -n 1 "$0" one
