#!/bin/bash
# The attacks of tests/security/execsvc, ten times as long.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset dev >/dev/null
cmake --build --preset dev --target programs >/dev/null
ATTACKS_TIMES=${ATTACKS_TIMES:-10} timeout 900 /usr/bin/python3 -B tests/security/execsvc/test_attacks.py
