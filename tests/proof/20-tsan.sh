#!/bin/bash
# The unit and integration tests of everything that has threads, under ThreadSanitizer.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset tsan >/dev/null
cmake --build --preset tsan
ctest --test-dir build/tsan -j2 --output-on-failure -L unit
