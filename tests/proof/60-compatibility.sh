#!/bin/bash
# CPython's regression tests, numpy's, and pandas' documented examples: in a sandbox and outside, case by case
# (docs/COMPATIBILITY.md). Differences that are known have their reason in tests/proof/compat/expected.txt.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset release >/dev/null
cmake --build --preset release --target programs
/usr/bin/python3 -B tests/proof/compat/compat.py --build build/release "$@"
