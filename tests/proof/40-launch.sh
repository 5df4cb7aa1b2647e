#!/bin/bash
# What a start costs, against bare vfork + exec and against the launchers of other people (docs/PERFORMANCE.md).
# A layer that is missing fails it. LAUNCH_BENCH: more options, such as --strict, under which a missed bar fails it too.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset release >/dev/null
cmake --build --preset release --target bench_launch cloister execsvc
# shellcheck disable=SC2086
timeout 300 build/release/tests/bench_launch ${LAUNCH_BENCH:-}
