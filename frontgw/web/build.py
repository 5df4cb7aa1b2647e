#!/usr/bin/env python3
"""Build the page: build.py SOURCE TARGET [FILE...]

Files other than index.html go to assets/ with a piece of their hash in the name, and references to them
(href="app.css", src="app.js") are rewritten. Everything that shrinks gets a .gz and, where brotli is installed,
a .br beside it. Further FILEs are put beside index.html under their own names. Standard library only.
"""

import gzip
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path


def compress(path):
    data = path.read_bytes()
    packed = gzip.compress(data, 9, mtime=0)
    if len(packed) < len(data):
        path.with_name(path.name + ".gz").write_bytes(packed)
    if shutil.which("brotli"):
        target = path.with_name(path.name + ".br")
        subprocess.run(["brotli", "-f", "-q", "11", "-o", target, path], check=True)
        if target.stat().st_size >= len(data):
            target.unlink()


def main():
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    shutil.rmtree(target, ignore_errors=True)
    (target / "assets").mkdir(parents=True)
    names = {}
    for path in sorted(p for p in source.iterdir() if p.is_file() and p.name != "index.html"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:10]
        names[path.name] = f"{path.stem}.{digest}{path.suffix}"
        built = target / "assets" / names[path.name]
        built.write_bytes(path.read_bytes())
        compress(built)
    page = (source / "index.html").read_text(encoding="utf-8")

    def rewrite(match):
        name = match.group(2)
        if name not in names:
            sys.exit(f"index.html: there is no file {name}")
        return f'{match.group(1)}="/assets/{names[name]}"'

    page = re.sub(r'\b(href|src)="(?!https?:|/|#)([^"]+)"', rewrite, page)
    (target / "index.html").write_text(page, encoding="utf-8")
    compress(target / "index.html")
    for extra in map(Path, sys.argv[3:]):
        shutil.copyfile(extra, target / extra.name)
        compress(target / extra.name)


if __name__ == "__main__":
    main()
