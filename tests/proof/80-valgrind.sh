#!/bin/bash
# The unit tests under valgrind: memory errors and leaks that AddressSanitizer can't see (uninitialised values), in the
# very binaries of the dev build. Tests whose subject valgrind can't run are named with the reason.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset dev >/dev/null
cmake --build --preset dev
# seccomp_kernel loads filters that end calls which valgrind itself makes. userns and the like do not appear: they are
# integration tests.
skip='test_sandbox_seccomp_kernel'
failed=0
for test in build/dev/tests/test_*; do
    name=$(basename "$test")
    [[ $name =~ ^($skip)$ || $name == test_integration_* || ! -x $test || -d $test ]] && continue
    grep -q "$name\"" build/dev/tests/unit/CTestTestfile.cmake build/dev/tests/unit/*/CTestTestfile.cmake || continue
    log=$(mktemp)
    if timeout 300 valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
        --trace-children=no --child-silent-after-fork=yes "$test" >"$log" 2>&1; then
        echo "$name: clean"
    else
        status=$?
        grep -E '^==|\[  FAILED|\[  ERROR' "$log" | head -30
        echo "$name: status $status"
        failed=1
    fi
    rm -f "$log"
done
exit $failed
