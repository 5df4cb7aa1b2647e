#!/bin/bash
# ThreadSanitizer: the unit tests of everything that has threads, and the real execsvc under its integration tests. The
# spawner has one thread and shares its memory with children, which the sanitizer can't follow: it is the plain build's.
# gRPC is not instrumented; what passes through it is annotated (api/rpc_cq.h).
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset tsan >/dev/null
cmake --build --preset tsan
cmake --preset dev >/dev/null
cmake --build --preset dev
export TSAN_OPTIONS=ignore_noninstrumented_modules=1:second_deadlock_stack=1
ctest --test-dir build/tsan -j2 --output-on-failure -L unit

export CLOISTER_BUILD=$PWD/build/dev CLOISTER_SOURCE=$PWD CLOISTER_EXECSVC=$PWD/build/tsan/bin/execsvc CLOISTER_SLOW=1
failed=0
for test in tests/integration/execsvc/test_*.py tests/integration/verdicts/test_service.py; do
    echo "$test"
    timeout 600 /usr/bin/python3 -B "$test" || failed=1
done
exit $failed
