#!/bin/bash
# The unit tests under valgrind: what AddressSanitizer can't see (uninitialised values), in the very binaries of the dev
# build. VALGRIND_TESTS: a pattern of names.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset dev >/dev/null
cmake --build --preset dev
skip=()
skip+=(test_sandbox_seccomp_kernel test_base_guard)                              # filters that end valgrind's own calls
skip+=(test_sandbox_init_files test_sandbox_init_pack test_sandbox_init_pack_traps) # valgrind 3.19 has no openat2
skip+=(test_sandbox_doctor test_sandbox_seccomp) # clones into new namespaces; libseccomp says EINVAL in valgrind
skip+=(test_frontgw_backup test_frontgw_db test_frontgw_files test_frontgw_people) # stores: minutes each, and under
skip+=(test_frontgw_plans test_frontgw_pool)                                     # ASan in every `./dev test`
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
for test in build/dev/tests/test_${VALGRIND_TESTS:-*}; do
    name=$(basename "$test")
    [[ " ${skip[*]} " == *" $name "* || $name == test_integration_* || ! -f $test || ! -x $test ]] && continue
    if timeout 300 valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
        --child-silent-after-fork=yes "$test" >"$log" 2>&1; then
        echo "$name: clean"
    else
        status=$?
        grep -E '^==|\[  FAILED|\[  ERROR' "$log" | head -30
        echo "$name: status $status"
        failed=1
    fi
done
exit $failed
