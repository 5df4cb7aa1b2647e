#!/usr/bin/env python3
"""lint_man.py --build DIR: the man pages of docs/man against the programs and the code.

Every page renders without a warning; its options are those of the program's --help, none missing and none invented; the
keys of cloister.conf(5) are those of `execsvc --print-config` and of the spawner, with their defaults.
Exit status: 0 clean, 1 findings, 77 a tool or a program is missing (1 with TESTS_MUST_RUN=1).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAN = ROOT / "docs" / "man"
PROGRAMS = {  # page: the program
    "cloister.1": ["cloister"],
    "cloister-run.1": ["cloister", "run"],
    "cloister-sandbox.1": ["cloister", "sandbox", "run"],
    "cloister-node.1": ["cloister", "node"],
    "cloister-top.1": ["cloister", "top"],
    "cloister-doctor.1": ["cloister", "doctor"],
    "cloister-spawner.8": ["cloister-spawner"],
    "execsvc.8": ["execsvc"],
    "frontgw.8": ["frontgw"],
}
CONF = "cloister.conf.5"
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]
UNSAID = {"--help", "--version"}  # options that a --help need not name; they are tried
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def plain(text):
    """roff to words: no escapes, no macro names."""
    text = re.sub(r"\\f(\[[^]]*\]|.)", "", text).replace("\\-", "-").replace("\\(dq", '"').replace("\\(aq", "'")
    return text


def chapters(text, macro):
    """{heading: lines} of .SH or .SS."""
    parts = re.split(rf"^\.{macro} +(.*)$", text, flags=re.M)
    return {plain(parts[i]).strip(): parts[i + 1] for i in range(1, len(parts), 2)}


def tags(text):
    """[(tag, what stands below)] of .TP."""
    items = re.split(r"^\.TP\n", text, flags=re.M)[1:]
    return [(plain(re.sub(r"^\.[BIR]+ ", "", item.split("\n", 1)[0])).strip(), item.split("\n", 1)[1]) for item in items]


def rendering(page, text):
    run = subprocess.run(["groff", "-t", "-man", "-ww", "-Tutf8", "-z", str(MAN / page)], capture_output=True, text=True)
    yield from (line for line in run.stderr.splitlines())
    if run.returncode:
        yield f"groff ends with {run.returncode}"
    if not text.isascii():
        yield "a character that is not ASCII"
    yield from (f"no section {name}" for name in SECTIONS if name not in chapters(text, "SH"))


def run_help(binaries, words, option):
    return subprocess.run([str(binaries / words[0]), *words[1:], option], capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL)


def options(page, text, binaries):
    documented = {option for tag, _ in tags(chapters(text, "SH").get("OPTIONS", "")) for option in OPTION.findall(tag)}
    shown = run_help(binaries, PROGRAMS[page], "--help")
    lines = [line for line in shown.stdout.splitlines() if "COMMAND --help" not in line]
    offered = set(OPTION.findall("\n".join(lines)))
    if shown.returncode or not shown.stdout:
        yield f"--help ends with {shown.returncode}"
    yield from (f"{option} is in --help and not here" for option in sorted(offered - documented))
    yield from (f"{option} is not in --help" for option in sorted(documented - offered - UNSAID))
    for option in sorted((documented - offered) & UNSAID):
        if run_help(binaries, PROGRAMS[page], option).returncode:
            yield f"{option} is refused by the program"


def same(name, here, there, where):
    yield from (f"{name}: {key} is missing, {where} has it" for key in sorted(there - here))
    yield from (f"{name}: {key} is invented, {where} does not have it" for key in sorted(here - there))


def source(path):
    return (ROOT / path).read_text(encoding="utf-8")


def function(path, start):
    return source(path).split(start, 1)[1].split("\n}\n", 1)[0]


def ini(text):
    sections, current = {}, None
    for line in text.splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip(), {})
        elif "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            current[key.strip()] = value.strip()
    return sections


def canonical(value):
    """A time in ms, so that 30s and 30000ms are one."""
    match = re.fullmatch(r"(\d+)(ms|s|m|h)", value)
    scale = {"ms": 1, "s": 1000, "m": 60000, "h": 3600000}
    return str(int(match.group(1)) * scale[match.group(2)]) + "ms" if match else value


def default_of(body):
    match = re.search(r"^Default:\n\.BR (\S+) \.$", body, flags=re.M)
    return plain(match.group(1)) if match else None


def defaults(name, keys, real):
    for key, body in keys.items():
        said = default_of(body)
        if said is not None and key in real and canonical(said) != canonical(real[key]):
            yield f"{name}: {key}: the default is {real[key]}, not {said}"


def table(text):
    block = re.search(r"^\.TS\n(.*?)^\.TE", text, flags=re.M | re.S)
    rows = [plain(line).split("|") for line in block.group(1).splitlines() if line.count("|") == 4]
    return {row[0]: row[1:] for row in rows[1:]}


def limits(text, shipped):
    names = set(re.findall(r'\[LIMIT_\w+\] = \{"([^"]+)"', source("base/limits.c")))
    aliases = set(re.findall(r'"([A-Z]+_[A-Z_]+)"', source("base/limits.c")))
    rows = table(text)
    yield from same("LIMITS, table", set(rows), names, "base/limits.c")
    yield from same("LIMITS, list", {tag for tag, _ in tags(chapters(text, "SH")["LIMITS"])}, names, "base/limits.c")
    yield from same("LIMITS, aliases", {row[3].split()[0] for row in rows.values()} - {"none"}, aliases, "base/limits.c")
    for name, (_, default, ceiling, _) in rows.items():
        for column, said, section in (("default", default, "[limits]"), ("ceiling", ceiling, "[ceilings]")):
            real = shipped[section].get(name, "")
            if canonical(said) != canonical(real):
                yield f"LIMITS: {name}: the {column} is {real}, not {said}"


def conf(text, binaries):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CLOISTER_")}
    printed = subprocess.run([str(binaries / "execsvc"), "--set", "running_max=0", "--print-config"], capture_output=True,
                             text=True, check=True, env=env, timeout=20).stdout
    real, shipped = ini(printed), ini(source("deploy/cloister.conf"))
    pages = {name: dict(tags(body)) for name, body in chapters(chapters(text, "SH")["SECTIONS"], "SS").items()}
    kinds = {re.sub(r'".*"', '""', name) for name in {**real, **shipped, '[identity "x"]': {}}}
    yield from same("SECTIONS", {re.sub(r'".*"', '""', name) for name in pages}, kinds, "a program")

    yield from same("[execsvc]", set(pages["[execsvc]"]), set(real["[execsvc]"]), "execsvc --print-config")
    # running_max is printed as what it comes to on this machine; the file says 0.
    yield from defaults("[execsvc]", pages["[execsvc]"], {**real["[execsvc]"], **shipped["[execsvc]"]})

    spawner = set(re.findall(r'strcmp\(key, "(\w+)"\)', function("sandbox/spawner_config.c", "int set_spawner(")))
    yield from same("[spawner]", set(pages["[spawner]"]), spawner, "sandbox/spawner_config.c")
    yield from defaults("[spawner]", pages["[spawner]"], shipped["[spawner]"])

    body = function("execsvc/runtime.c", "\nint runtime_setting(")
    runtime = set(re.findall(r'strcmp\(key, "([\w-]+)"\)', body))
    runtime |= {prefix + "NAME" for prefix in re.findall(r'after\(key, "([\w.-]+)"\)', body)}
    yield from same("[runtime]", set(pages['[runtime "NAME"]']), runtime, "execsvc/runtime.c")

    identity = set(re.findall(r'strcmp\(key, "(\w+)"\)', function("execsvc/config.c", "int identity_set(")))
    yield from same("[identity]", set(pages['[identity "ID"]']), identity, "execsvc/config.c")
    yield from limits(text, shipped)


def layers(text):
    names = set(re.findall(r'\[LAYER_\w+\] = "([^"]+)"', source("base/result.c")))
    listed = plain(chapters(text, "SH")["LAYERS"]).split(":", 1)[1]
    yield from same("LAYERS", set(re.findall(r"[a-z-]+", listed)), names, "base/result.c")


def findings(binaries):
    pages = sorted(path.name for path in MAN.iterdir())
    for page in sorted(set(PROGRAMS) | {CONF} | set(pages)):
        if page not in pages or page not in {*PROGRAMS, CONF}:
            yield page, "there is no such page" if page not in pages else "this lint does not know its program"
            continue
        text = (MAN / page).read_text(encoding="utf-8")
        checks = [rendering(page, text), conf(text, binaries) if page == CONF else options(page, text, binaries)]
        if page == "cloister-sandbox.1":
            checks.append(layers(text))
        for check in checks:
            yield from ((page, words) for words in check)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    binaries = Path(parser.parse_args().build) / "bin"
    missing = [name for name in ("groff", "tbl") if not shutil.which(name)]
    missing += [words[0] for words in PROGRAMS.values() if not (binaries / words[0]).exists()]
    if missing:
        print(f"missing: {' '.join(sorted(set(missing)))}", file=sys.stderr)
        return 1 if os.environ.get("TESTS_MUST_RUN") == "1" else 77
    count = 0
    for page, words in findings(binaries):
        print(f"docs/man/{page}: {words}")
        count += 1
    print(f"{count} findings")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
