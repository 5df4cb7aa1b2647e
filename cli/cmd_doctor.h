#pragma once

/** cmd_doctor() - `cloister doctor [--json]`; return: the exit status. */
int cmd_doctor(int argc, char **argv);
