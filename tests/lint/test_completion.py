#!/usr/bin/env python3
"""test_completion.py --build DIR: sources cli/completion/cloister.bash in bash and asks it for completions."""

import argparse
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPLETION = ROOT / "cli" / "completion" / "cloister.bash"
ASK = """source "$1" || exit 3
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_cloister || exit 4
[ ${#COMPREPLY[@]} = 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
"""
BUILD = None


def complete(*words, cwd=None):
    """What stands for the last word of the line `cloister @words`."""
    run = subprocess.run(["bash", "--norc", "-c", ASK, "bash", str(COMPLETION), "cloister", *words], capture_output=True,
                         text=True, cwd=cwd, timeout=20)
    if run.returncode or run.stderr:
        raise AssertionError(f"{run.returncode}: {run.stderr}")
    return set(run.stdout.splitlines())


def names(path, pattern):
    return set(re.findall(pattern, (ROOT / path).read_text(encoding="utf-8")))


class Completion(unittest.TestCase):
    def test_commands_are_those_of_help(self):
        shown = subprocess.run([BUILD / "bin" / "cloister", "--help"], capture_output=True, text=True, check=True).stdout
        commands = set(re.findall(r"^  (\w+)  ", shown, flags=re.M))
        self.assertEqual(commands, {word for word in complete("") if not word.startswith("-")} - {"help"})
        self.assertEqual({"run"}, complete("r"))

    def test_options_are_those_of_help(self):
        for words in (["run"], ["sandbox", "run"], ["node"], ["top"], ["doctor"]):
            shown = subprocess.run([BUILD / "bin" / "cloister", *words, "--help"], capture_output=True, text=True,
                                   check=True).stdout
            offered = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", shown)) | {"--help"}
            self.assertEqual(offered, complete(*words, "--"), words)
        self.assertEqual({"--no-stdin"}, complete("run", "--n"))

    def test_limits_are_those_of_the_code(self):
        limits = {name + "=" for name in names("base/limits.c", r'\[LIMIT_\w+\] = \{"([^"]+)"')}
        self.assertEqual(10, len(limits))
        self.assertEqual(limits, complete("run", "--limit", ""))
        self.assertEqual({"workspace="}, complete("sandbox", "run", "--limit", "wo"))

    def test_layers_are_those_of_the_code(self):
        layers = names("base/result.c", r'\[LAYER_\w+\] = "([^"]+)"')
        self.assertEqual(20, len(layers))
        self.assertEqual(layers, complete("sandbox", "run", "--disable-layer", ""))
        self.assertEqual({"seccomp", "session"}, complete("sandbox", "run", "--allow-missing", "se"))

    def test_the_extension_chooses_the_runtime(self):
        known = re.findall(r'\{"(\.\w+)", "(\w+)"\}', (ROOT / "cli" / "run_runtime.c").read_text(encoding="utf-8"))
        self.assertEqual(7, len(known))
        for extension, runtime in known:
            line = ["cloister", "run", "--runtime", "", "x" + extension]
            script = ASK.replace("$(($# - 1))", "3")
            run = subprocess.run(["bash", "--norc", "-c", script, "bash", str(COMPLETION), *line], capture_output=True,
                                 text=True, check=True)
            self.assertEqual([runtime], run.stdout.split(), extension)
        self.assertEqual({"python3", "bash", "c", "node"}, complete("run", "--runtime", ""))

    def test_programs_and_directories_are_offered_first(self):
        with tempfile.TemporaryDirectory() as directory:
            for name in ("a.py", "a b.c", "notes.txt"):
                Path(directory, name).touch()
            Path(directory, "sub").mkdir()
            self.assertEqual({"a.py", "a b.c", "sub"}, complete("run", "", cwd=directory))
            self.assertEqual({"a.py", "a b.c", "sub"}, complete("run", "--limit", "cpu", "=", "1s", "", cwd=directory))
            self.assertEqual({"a.py", "a b.c", "sub", "notes.txt"}, complete("run", "a.py", "", cwd=directory))
            self.assertEqual({"notes.txt"}, complete("run", "--file", "n", cwd=directory))

    def test_values(self):
        self.assertEqual({"interactive", "batch"}, complete("run", "--class", ""))
        self.assertEqual({"no-subprocess"}, complete("sandbox", "run", "--policy", ""))
        self.assertEqual(set(), complete("run", "--limit", "cpu", "=", ""))
        self.assertEqual({"bwrap"}, complete("sandbox", "run", "--launcher", "b"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    options, rest = parser.parse_known_args()
    BUILD = Path(options.build).resolve()
    unittest.main(argv=[sys.argv[0], *rest])
