"""The units: installed into a directory of their own, looked at by systemd's own tools, and held against each other."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "support"))
from service import BUILD, SOURCE, need_root  # noqa: E402

UNITS = {"cloister.service": 6.8, "frontgw.service": 3.1, "frontgw-backup.service": 3.6, "frontgw-backup.timer": None}


class Systemd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(tempfile.mkdtemp(prefix=f"cloister-units-{os.getpid()}-"))
        subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr"], check=True, capture_output=True,
                       env=dict(os.environ, DESTDIR=str(cls.root)))
        cls.units = cls.root / "usr/lib/systemd/system"
        # What ours name of the distribution's: targets, /bin/kill.
        shutil.copytree("/usr/lib/systemd/system", cls.units, dirs_exist_ok=True, symlinks=True)
        shutil.copy(shutil.which("kill"), cls.root / "usr/bin/kill")
        (cls.root / "bin").symlink_to("usr/bin")
        (cls.root / "etc").mkdir()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    def settings(self, unit):
        """{key: [values]}"""
        found = {}
        for line in (self.units / unit).read_text().splitlines():
            if "=" in line and not line.startswith("#"):
                key, value = line.split("=", 1)
                found.setdefault(key, []).append(value)
        return found

    def test_systemd_has_nothing_to_say_against_them(self):
        for unit in UNITS:
            done = subprocess.run(["systemd-analyze", "verify", f"--root={self.root}", "--man=no", self.units / unit],
                                  capture_output=True, text=True, timeout=60)
            ours = [line for line in (done.stdout + done.stderr).splitlines() if re.match(r"(cloister|frontgw)", line)]
            self.assertEqual((done.returncode, ours), (0, []), unit)

    def test_they_are_as_hardened_as_they_were(self):
        for unit, most in UNITS.items():
            if most is None:
                continue
            done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--root={self.root}",
                                   f"--threshold={int(most * 10)}", "--no-pager", unit], capture_output=True, text=True,
                                  timeout=60)
            found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
            self.assertTrue(found, done.stdout + done.stderr)
            self.assertEqual(done.returncode, 0, f"{unit}: {found.group(1)} is above {most}")

    def test_what_the_sandboxes_need_is_left_to_the_spawner(self):
        found = self.settings("cloister.service")
        self.assertEqual(set(found["Delegate"][0].split()), {"cpu", "memory", "pids"})
        for setting in ("ProtectProc", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs",
                        "ProtectControlGroups", "ProtectHostname", "RestrictNamespaces", "PrivateDevices",
                        "NoNewPrivileges", "RuntimeDirectory"):
            self.assertNotIn(setting, found)

    def test_a_drain_is_shorter_than_systemds_patience(self):
        shipped = (SOURCE / "deploy" / "cloister.conf").read_text()
        drain = int(re.search(r"^drain = (\d+)s$", shipped, re.M).group(1))
        self.assertGreater(int(self.settings("cloister.service")["TimeoutStopSec"][0]), drain + 15)

    def test_the_users_are_made_once_and_used(self):
        done = subprocess.run(["systemd-sysusers", "--dry-run", f"--root={self.root}"], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("onflict", done.stdout + done.stderr)
        text = (self.root / "usr/lib/sysusers.d/cloister.conf").read_text()
        users = dict(re.findall(r'^u (\S+) - "[^"]*" (\S+)', text, re.M))
        frontgw = self.settings("frontgw.service")
        self.assertEqual(set(users), {"cloister", frontgw["User"][0]})
        self.assertEqual(users["frontgw"], f"/var/lib/{frontgw['StateDirectory'][0]}")

    def test_the_shipped_configuration_is_good_for_both_programs(self):
        conf = SOURCE / "deploy" / "cloister.conf"
        done = subprocess.run([BUILD / "bin" / "cloister-spawner", "--config", conf, "--check-config"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (0, "the configuration is good\n"), done.stderr)
        bad = self.root / "bad.conf"
        for text, words in (("[spawner]\nslots = 3\n", "slots"), ("[execsvc]\nrunning = 3\n", "running")):
            bad.write_text(text)
            done = subprocess.run([BUILD / "bin" / "cloister-spawner", "--config", bad, "--check-config"],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2)
            self.assertIn(words, done.stderr)

    def test_the_manual_names_every_unit(self):
        manual = (SOURCE / "docs" / "OPERATIONS.md").read_text()
        for unit in UNITS:
            self.assertTrue(unit in manual, unit)


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
