#!/bin/bash
# clang-tidy with .clang-tidy over every C file that the dev build compiles for a host process, generated code aside.
set -euo pipefail
cd "$(dirname "$0")/../.."

cmake --preset dev >/dev/null
cmake --build --preset dev
/usr/bin/python3 - <<'EOF' | xargs -P 2 -n 4 clang-tidy-14 -p build/dev --quiet
import json, os
root = os.getcwd()
commands = json.load(open("build/dev/compile_commands.json"))
files = {os.path.relpath(c["file"], root) for c in commands if "-ffreestanding" not in c["command"]}
print("\n".join(sorted(f for f in files if not f.startswith(("build/", "tests/")))))
EOF
