#!/bin/bash
# 530 students log in within 45 s from one address; all get in, and others' requests stay below 250 ms (95 %).
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset release >/dev/null
cmake --build --preset release --target frontgw frontgw_web
CLOISTER_BUILD=$PWD/build/release CLOISTER_SOURCE=$PWD \
    /usr/bin/python3 -B tests/load/frontgw/class_login.py --students 530 --seconds 45 --p95-ms 250
