"""What pyproject.toml cannot say: the messages are made from proto/ by protoc while the package is built."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PROTOS = Path(__file__).resolve().parents[2] / "proto"
CONTRACTS = ("cloister/exec/v1/exec", "cloister/status/v1/status")


def generate(target: Path) -> None:
    """Writes exec_pb2.py and status_pb2.py into the folder `target`.

    protoc lays them out as cloister/exec/v1/exec_pb2.py; they import nothing of each other, so they may stand anywhere.
    The names inside stay those of proto/: a program may load code generated from the same contract beside ours.
    """
    protoc = shutil.which("protoc")
    if not protoc:
        raise SystemExit("protoc is missing: install protobuf-compiler")
    if not PROTOS.is_dir():
        raise SystemExit(f"{PROTOS} is missing: build this package inside Cloister's source tree")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([protoc, f"-I{PROTOS}", f"--python_out={directory}", *(f"{PROTOS}/{c}.proto" for c in CONTRACTS)],
                       check=True)
        for contract in CONTRACTS:
            made = Path(directory, contract + "_pb2.py")
            shutil.copyfile(made, target / made.name)


class BuildWithMessages(build_py):
    """build_py, and then the generated modules beside the written ones."""

    def run(self):
        super().run()
        generate(Path(self.build_lib, "cloister", "_pb"))


setup(cmdclass={"build_py": BuildWithMessages})
