#!/bin/bash
# Every system call that a run makes in the spawner and in its sandbox fails once, with every error there may be
# (tests/integration/faults/faults.py): each run ends INTERNAL with words or as if nothing had been, nothing is left,
# and the next run is a good one. Then the same for `cloister sandbox run`, which sets everything up for one run.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset dev >/dev/null
cmake --build --preset dev --target fault_tracer programs
export CLOISTER_BUILD=$PWD/build/dev CLOISTER_SOURCE=$PWD
/usr/bin/python3 -B tests/integration/faults/faults.py "$@"
/usr/bin/python3 -B tests/integration/faults/starts.py
