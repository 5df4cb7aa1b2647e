#!/usr/bin/python3
"""with_service.py COMMAND...: run it with a Cloister of its own, whose socket CLOISTER_SOCKET names; fail if anything of
the service is left afterwards. CLOISTER_TEST_CONF: more lines for its configuration."""

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from service import Service, need_root  # noqa: E402

need_root()
with Service(text=os.environ.get("CLOISTER_TEST_CONF", "")) as service:
    status = subprocess.call(sys.argv[1:], env=dict(os.environ, CLOISTER_SOCKET=str(service.socket)))
sys.exit(status)
