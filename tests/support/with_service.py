#!/usr/bin/python3
"""with_service.py [SECTION.KEY=VALUE...] COMMAND...: run it with a Cloister of its own, whose socket CLOISTER_SOCKET names;
fail if anything of the service is left afterwards. The settings go into the service's configuration."""

import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from service import Service, need_root  # noqa: E402

need_root()
words, settings = sys.argv[1:], {}
while match := re.fullmatch(r"(\w+)\.(\w+)=(.*)", words[0]):
    settings.setdefault(match[1], {})[match[2]] = match[3]
    del words[0]
with Service(settings) as service:
    status = subprocess.call(words, env=dict(os.environ, CLOISTER_SOCKET=str(service.socket)))
sys.exit(status)
