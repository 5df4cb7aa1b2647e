"""run.py WORK: the tests of api/node, with a service of their own on a socket and over TCP. They stand in a folder of their own
in WORK, where `cloister` is the package as it is installed (packages.sh)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "support"))
from service import SOURCE, Service, need_root  # noqa: E402
from tls import Certs  # noqa: E402

need_root()
work = Path(sys.argv[1])
app = work / "app"
shutil.rmtree(app, ignore_errors=True)
app.mkdir()
(app / "package.json").write_text('{"type": "module"}\n')
for source in (*HERE.glob("*.mjs"), *HERE.glob("*.ts")):
    shutil.copy(source, app)
subprocess.run([work / "node_modules" / ".bin" / "tsc", "--noEmit", "--strict", "--module", "nodenext", "--target", "es2022",
                "--types", "node", "types.ts"], cwd=app, check=True)

certs = Certs()
try:
    settings = {"running_max": 1, "queue_per_tenant": 1, "blob_cache": "8M", "blob_size": "4M", **certs.settings()}
    with Service({"execsvc": settings}) as service:
        names = {f"TLS_{name.upper()}": str(certs.path(file)) for name, file in
                 (("ca", "ca.pem"), ("cert", "client.pem"), ("key", "client.key"))}
        env = dict(os.environ, CLOISTER_SOURCE=str(SOURCE), CLOISTER_SOCKET=str(service.socket),
                   TLS_TARGET=f"localhost:{certs.port(service)}", **names)
        status = subprocess.call(["node", "--test", "sdk.test.mjs"], cwd=app, env=env)
finally:
    certs.close()
sys.exit(status)
