#include "tests/integration/cgroups/support.h"
const struct CMUnitTest delegated_tests[] = {{0}};
const size_t n_delegated_tests = 0;
