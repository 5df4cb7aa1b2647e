#!/bin/bash
# What the tests reach: unit, fuzz corpora and integration tests on a build with gcov, then gcovr's report of sandbox/ and
# cgroups/, with branches. docs/COVERAGE.md explains what is not reached. The inner spawner writes nothing (its file
# system is not the host's, its filter refuses), so what only runs there counts as not reached.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset coverage >/dev/null
cmake --build --preset coverage
find build/coverage -name '*.gcda' -delete
ctest --test-dir build/coverage -j2 -L 'unit|fuzz' --output-on-failure
ctest --test-dir build/coverage -j2 -R 'integration.(cgroups|leftovers|rootless)' --output-on-failure
mkdir -p build/coverage/report
gcovr -r . build/coverage --exclude 'tests/' --exclude 'build/' --html-details build/coverage/report/index.html \
    --json-summary build/coverage/report/summary.json --txt build/coverage/report/lines.txt
gcovr -r . build/coverage --filter 'sandbox/' --filter 'cgroups/' --branches --txt build/coverage/report/branches.txt
cat build/coverage/report/branches.txt
