#!/bin/bash
# 50,000 runs of mixed programs: memory, descriptors, cgroups, mounts afterwards as after the first 5,000.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset release >/dev/null
cmake --build --preset release --target programs
CLOISTER_BUILD=$PWD/build/release CLOISTER_SOURCE=$PWD /usr/bin/python3 -B tests/load/many/many.py --runs "${RUNS:-50000}"
