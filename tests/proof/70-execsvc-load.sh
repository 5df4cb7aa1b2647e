#!/bin/bash
# A flood moves nobody's median wait by more than a quarter. And the small machine: one processor, 4 GB, ten people who
# run something every ten seconds, for 35 minutes: 95 % wait less than 800 ms, nothing grows, nothing dies.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset release >/dev/null
cmake --build --preset release --target programs cloister_proto
export CLOISTER_BUILD=$PWD/build/release CLOISTER_SOURCE=$PWD
/usr/bin/python3 -B tests/load/execsvc/flood.py --seconds 5 --turns 4 --percent 25
/usr/bin/python3 -B tests/load/execsvc/small_machine.py --seconds 2100 --p95-ms 800
