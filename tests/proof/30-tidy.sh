#!/bin/bash
# clang-tidy with .clang-tidy over every C file that the dev build compiles.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset dev >/dev/null
cmake --build --preset dev
git ls-files '*.c' | grep -E '^(base|cgroups|sandbox|api|execsvc|frontgw|cli)/' |
    xargs -P 2 -n 4 clang-tidy-14 -p build/dev --quiet --warnings-as-errors='*'
