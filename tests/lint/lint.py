#!/usr/bin/env python3
"""The rules of the house that no compiler knows. `lint.py RULE [--root DIR]` checks a tree, `lint.py --list` names the rules.

Exit status: 0 clean, 1 findings (one a line: path:line: words), 2 misuse, 77 a tool is missing.
tests/lint/allow.txt lists the exceptions, each with its reason; one that is no longer needed is a finding too.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

C_SUFFIXES = {".c", ".h"}
TEXT_SUFFIXES = C_SUFFIXES | {
    ".cmake", ".conf", ".css", ".html", ".ini", ".js", ".json", ".md", ".mjs", ".proto", ".py", ".service", ".sh",
    ".sql", ".toml", ".ts", ".tsx", ".txt", ".yaml", ".yml", "",
}
SKIPPED = {".git", ".cache", "build", "node_modules", "__pycache__", "corpus"}

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 100

# Folders are rooms: what each may include, beyond itself. An entry with a slash is one header or one folder.
MAY_INCLUDE = {
    "base": [],
    "cgroups": ["base"],
    "sandbox": ["base", "cgroups"],
    "proto": [],
    "api": ["base", "proto"],
    "execsvc": ["base", "api", "proto", "sandbox/spawn_client.h", "sandbox/spec.h"],
    "frontgw": ["base", "api", "proto"],  # the messages that api/ packs and unpacks
    "cli": ["base", "api", "proto", "sandbox", "cgroups"],
}

# Libraries that belong to one room: nobody else sees their types.
LIBRARY_ROOMS = {
    "seccomp.h": ["sandbox", "base"],  # base/guard.c: the filter of each process that talks to strangers
    "libcgroup.h": ["cgroups"],
    "sqlite3.h": ["frontgw"],
    "libpq-fe.h": ["frontgw"],
    "libwebsockets.h": ["frontgw"],
    "hiredis/": ["frontgw"],
    "argon2.h": ["frontgw"],
    "grpc/grpc": ["api"],
}

BANNED_CALLS = ["strcpy", "strcat", "sprintf", "vsprintf", "gets", "strtok", "atoi", "atol", "rand", "system", "popen",
                "usleep", "alloca"]
PRIVILEGED_CALLS = ["fork", "vfork", "clone", "clone3", "mount", "umount", "umount2", "pivot_root", "setns", "unshare",
                    "posix_spawn", "posix_spawnp"]
LIBRARY_ROOMS_WITHOUT_LOG = ["base", "api", "cgroups"]

FORBIDDEN_TEXT = [
    (re.compile(r"(?<![\w.~-])/work(?![\w-])"), "a path of somebody's machine"),
    (re.compile(r"https?://[^\s\"']*(registry|pypi|npmjs|goproxy|artifactory|nexus)"), "a package registry's host"),
    (re.compile(r"\b(TODO|FIXME|HACK)\b"), "work left undone: do it, or open an issue"),
]


class Finding:
    def __init__(self, path, line, words, allow_key=None):
        self.path, self.line, self.words = path, line, words
        self.allow_key = allow_key or str(path)

    def __str__(self):
        return f"{self.path}:{self.line}: {self.words}"


class Tree:
    """The files of a source tree, with C text split from its comments and strings."""

    def __init__(self, root, build=None):
        self.root = Path(root).resolve()
        self.build = Path(build) if build else None
        self.files = sorted(self._walk())

    def _walk(self):
        for directory, names, files in os.walk(self.root):
            here = Path(directory).relative_to(self.root)
            names[:] = [n for n in names if n not in SKIPPED]
            for name in files:
                path = here / name
                if name not in SKIPPED and not (self.root / path).is_symlink():
                    yield path

    def c_files(self):
        return [p for p in self.files if p.suffix in C_SUFFIXES]

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    def code(self, path):
        return blank_comments_and_strings(self.text(path))


TOKENS = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)


def blank_comments_and_strings(text):
    """Every character but newlines of a comment or literal becomes a blank: lines keep their numbers."""
    return TOKENS.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def room_of(path):
    return path.parts[0]


# ---- rules -------------------------------------------------------------------------------------


def rule_layers(tree):
    """Includes follow the folder rules of docs/ARCHITECTURE.md."""
    for path in tree.c_files():
        room = room_of(path)
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
            if not match:
                continue
            words = include_fault(tree, path, room, match.group(1), match.group(2))
            if words:
                yield Finding(path, number, words)


def include_fault(tree, path, room, quoted, angled):
    if quoted:
        target = quoted.split("/")[0]
        if target not in MAY_INCLUDE:
            local = (tree.root / path.parent / quoted).exists() or quoted.endswith("_gen.h") or target == "tests"
            return None if local else f'"{quoted}": include from the top folder, as in "base/err.h"'
        header = quoted
    elif angled.endswith(".pb-c.h"):
        target, header = "proto", angled
    else:
        owners = next((rooms for prefix, rooms in LIBRARY_ROOMS.items() if angled.startswith(prefix)), None)
        if room in MAY_INCLUDE and owners and room not in owners:
            return f"<{angled}> belongs to {', '.join(owners)}"
        return None
    if room not in MAY_INCLUDE or target == room:
        return None
    if any(header == may or header.startswith(may + "/") or target == may for may in MAY_INCLUDE[room]):
        return None
    return f'"{header}": {room}/ may not include it (it may: {", ".join(MAY_INCLUDE[room]) or "nothing"})'


def call_pattern(names):
    # Not a member (x.system, x->system), not a longer name, not a declaration of ours with that word in it.
    return re.compile(r"(?<![\w.])(?<!->)(" + "|".join(names) + r")\s*\(")


def find_calls(tree, paths, names, words):
    pattern = call_pattern(names)
    for path in paths:
        code = tree.code(path)
        for match in pattern.finditer(code):
            yield Finding(path, line_of(code, match.start()), words.format(match.group(1)))


def rule_calls(tree):
    """Banned calls; fork, clone, mount and setns only under sandbox/; exit() only beside main(); libraries do not log."""
    yield from find_calls(tree, tree.c_files(), BANNED_CALLS, "{}() is banned")

    outside = [p for p in tree.c_files() if room_of(p) not in ("sandbox", "tests")]
    yield from find_calls(tree, outside, PRIVILEGED_CALLS, "{}() stands under sandbox/ only")
    pattern = re.compile(r"\b(?:SYS|__NR)_(" + "|".join(PRIVILEGED_CALLS) + r")\b")
    for path in outside:
        code = tree.code(path)
        for match in pattern.finditer(code):
            yield Finding(path, line_of(code, match.start()), f"{match.group()} stands under sandbox/ only")

    without_main = [p for p in tree.c_files() if not re.search(r"^int main\(", tree.code(p), re.M)]
    yield from find_calls(tree, without_main, ["exit"], "{}() stands in a file with main() only")

    for path in tree.c_files():
        if room_of(path) in LIBRARY_ROOMS_WITHOUT_LOG and path.as_posix() not in ("base/log.c", "base/log.h"):
            match = re.search(r'#\s*include\s*"base/log.h"', tree.text(path))
            if match:
                yield Finding(path, line_of(tree.text(path), match.start()), "a library does not log")


def functions_of(code):
    """(name, first line, lines) of each function: clang-format puts its braces alone into the first column."""
    lines = code.splitlines()
    start = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{" and start is None:
            start = number
        elif line.rstrip() == "}" and start is not None:
            yield name_above(lines, start), start, number - start + 1
            start = None


def name_above(lines, brace_line):
    """The function's name: the last word before a parenthesis that begins an argument list at depth 0."""
    first = brace_line - 1
    while first > 0 and lines[first - 1].strip() and not lines[first - 1].startswith(("#", "}")):
        first -= 1
    head = " ".join(lines[first:brace_line - 1])
    match = re.search(r"(\w+)\s*\(", head)
    return match.group(1) if match else "?"


def rule_sizes(tree):
    """Files of at most 600 lines, functions of at most 100; more needs a reason in allow.txt."""
    for path in tree.c_files():
        code = tree.code(path)
        lines = code.count("\n")
        if lines > FILE_LINES_MAX:
            yield Finding(path, 1, f"{lines} lines: at most {FILE_LINES_MAX}")
        for name, start, length in functions_of(code):
            if length > FUNCTION_LINES_MAX:
                yield Finding(path, start, f"{name}() has {length} lines: at most {FUNCTION_LINES_MAX}",
                              f"{path}:{name}")


def include_flags(tree):
    """{room: compiler flags} as the build has them, from its compile_commands.json."""
    flags = {}
    commands = json.loads((tree.build / "compile_commands.json").read_text()) if tree.build else []
    for command in commands:
        source = Path(command["file"])
        if not source.is_relative_to(tree.root):
            continue
        words = shlex.split(command["command"])
        room = flags.setdefault(room_of(source.relative_to(tree.root)), [])
        for i, word in enumerate(words):
            if word.startswith(("-I", "-D")) and word not in room:
                room.append(word)
            elif word == "-isystem" and words[i + 1] not in room:
                room += [word, words[i + 1]]
    return flags


def rule_headers(tree):
    """A header begins with #pragma once and compiles by itself."""
    compiler = shutil.which("cc")
    if not compiler:
        raise ToolMissing("cc")
    flags = include_flags(tree)
    for path in tree.c_files():
        if path.suffix != ".h":
            continue
        code = [line for line in tree.code(path).splitlines() if line.strip()]
        if not code or code[0].strip() != "#pragma once":
            yield Finding(path, 1, "the first line of code of a header is #pragma once")
        room = flags.get(room_of(path), ["-D_GNU_SOURCE"])
        run = subprocess.run([compiler, "-std=gnu17", *room, f"-I{tree.root}", "-fsyntax-only", "-x", "c",
                              "-include", str(tree.root / path), os.devnull], capture_output=True, text=True)
        if run.returncode != 0:
            error = next((line for line in run.stderr.splitlines() if "error:" in line), "?")
            yield Finding(path, 1, "does not compile by itself: " + error)


def rule_text(tree):
    """Nothing of anybody's machine, no registry's host, no work left undone."""
    for path in tree.files:
        if path.suffix not in TEXT_SUFFIXES or path.parts[:2] == ("tests", "lint"):
            continue
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            for pattern, words in FORBIDDEN_TEXT:
                match = pattern.search(line)
                if match:
                    yield Finding(path, number, f"'{match.group()}': {words}")


class ToolMissing(Exception):
    pass


def rule_format(tree):
    """Every C file is laid out by clang-format 14."""
    tool = shutil.which("clang-format-14")
    if not tool:
        raise ToolMissing("clang-format-14")
    files = [str(p) for p in tree.c_files()]
    for i in range(0, len(files), 100):
        run = subprocess.run([tool, "--dry-run", *files[i:i + 100]], cwd=tree.root, capture_output=True, text=True)
        seen = set()
        for match in re.finditer(r"^(\S+?):(\d+):\d+: warning", run.stderr, re.M):
            if match.group(1) not in seen:
                seen.add(match.group(1))
                yield Finding(match.group(1), int(match.group(2)), "not as clang-format-14 lays it out")


RULES = {
    "layers": rule_layers,
    "calls": rule_calls,
    "sizes": rule_sizes,
    "headers": rule_headers,
    "text": rule_text,
    "format": rule_format,
}


# ---- exceptions --------------------------------------------------------------------------------


def read_allowed(root, rule):
    """{key: line number} of the exceptions for @rule; each line is `rule key reason`."""
    allowed = {}
    path = root / "tests/lint/allow.txt"
    if not path.exists():
        return allowed
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split(None, 2)
        if not fields or line.startswith("#"):
            continue
        if len(fields) < 3 or fields[0] not in RULES:
            raise SystemExit(f"{path}:{number}: write `rule path reason`")
        if fields[0] == rule:
            allowed[fields[1]] = number
    return allowed


def check(tree, rule):
    allowed = read_allowed(tree.root, rule)
    used = set()
    for finding in RULES[rule](tree):
        if finding.allow_key in allowed:
            used.add(finding.allow_key)
        else:
            yield finding
    for key in sorted(set(allowed) - used):
        yield Finding("tests/lint/allow.txt", allowed[key], f"{key}: this exception to {rule} is no longer needed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rule", nargs="?", choices=RULES)
    parser.add_argument("--root", default=Path(__file__).resolve().parents[2])
    parser.add_argument("--build", help="a build directory: headers are compiled with its flags")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.list:
        for name, rule in RULES.items():
            print(f"{name:8} {rule.__doc__}")
        return 0
    if not args.rule:
        parser.error("which rule?")
    try:
        findings = list(check(Tree(args.root, args.build), args.rule))
    except ToolMissing as missing:
        print(f"{missing} is not installed")
        return 1 if os.environ.get("TESTS_MUST_RUN") == "1" else 77
    for finding in findings:
        print(finding)
    print(f"{args.rule}: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
