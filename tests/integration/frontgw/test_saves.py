"""Two editors, 1,000 interleaved saves on one file, kill -9 of frontgw and of PostgreSQL in between.

Every acknowledged save is in the history under the number that it was given, nothing is in the history that nobody
sent, and no number is missing."""

import hashlib
import http.client
import os
import shutil
import signal
import tempfile
import threading
import time
import unittest
from pathlib import Path

from clients import FREE, Client, World
from gateway import SLOW, Gateway, free_port
from postgres import Postgres

SAVES = 1000
KILLS = 4
GONE = (OSError, http.client.HTTPException)


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Editor(threading.Thread):
    """Saves its own texts one after another; takes the other's version as its new base when told of it."""

    def __init__(self, test, name, client, file, count):
        super().__init__(name=name)
        self.test, self.client, self.file, self.count = test, client, file, count
        self.acknowledged, self.sent = [], set()
        self.conflicts = self.cut = self.unavailable = 0
        self.fault = None

    def run(self):
        try:
            seq = 1
            for i in range(self.count):
                seq = self.save_one(f"{self.name} wrote line {i}\n" * (1 + i % 50), seq)
                self.test.progress()
        except BaseException as fault:  # noqa: BLE001 - told by the test itself
            self.fault = fault

    def save_one(self, text, seq):
        self.sent.add(sha(text))
        deadline = time.monotonic() + 60 * SLOW
        while time.monotonic() < deadline:
            try:
                answer = self.client.save(self.file, text, seq)
            except GONE:
                self.cut += 1
                time.sleep(0.05)
                continue
            if answer.status == 200:
                self.acknowledged.append((answer.json["seq"], sha(text)))
                return answer.json["seq"]
            if answer.status == 412:
                self.conflicts += 1
                seq = answer.json["current"]["seq"]
            elif answer.status == 503:
                self.unavailable += 1
                time.sleep(0.05)
            else:
                raise AssertionError(answer)
        raise AssertionError(f"{self.name}: not saved within a minute")


class Saves:
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix=f"frontgw-saves-{os.getpid()}-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.postgres = self.make_database()
        self.lock, self.done = threading.Lock(), 0
        settings = {**FREE, "listen.port": free_port()}
        env = {"DATABASE_URL": self.postgres.url} if self.postgres else {}
        self.gw = Gateway(settings=settings, env=env, directory=self.directory).start()
        self.addCleanup(lambda: self.gw.stop(signal.SIGKILL))

    def make_database(self):
        return None

    def progress(self):
        with self.lock:
            self.done += 1

    def kill_one(self, n):
        if self.postgres and n % 2:
            self.postgres.kill()
            time.sleep(0.2)
            self.postgres.start()
        else:
            self.gw.stop(signal.SIGKILL)
            self.gw.start()

    def history(self, client, file):
        versions, before = [], None
        while True:
            answer = client("GET", f"/files/{file}/versions?limit=1000" + (f"&before={before}" if before else ""))
            self.assertEqual(answer.status, 200, answer)
            if not answer.json["items"]:
                return versions
            versions += answer.json["items"]
            before = versions[-1]["seq"]

    def test_every_acknowledged_save_is_kept_and_none_is_invented(self):
        world = World(self.gw, students=("ann",))
        world.close()
        first = world.people["ann"].create(world.workspaces["ann"], "shared.py", "first").json
        editors = []
        for name in ("one", "two"):
            client = Client(self.gw)
            client.cookie = world.people["ann"].cookie
            editors.append(Editor(self, name, client, first["id"], SAVES // 2))
        for editor in editors:
            editor.start()
        for n in range(KILLS):
            while self.done < SAVES * (n + 1) // (KILLS + 1) and any(e.is_alive() for e in editors):
                time.sleep(0.005)
            self.kill_one(n)
        for editor in editors:
            editor.join()
            if editor.fault:
                raise editor.fault
        versions = {v["seq"]: v["sha256"] for v in self.history(editors[0].client, first["id"])}
        sent = editors[0].sent | editors[1].sent | {sha("first")}
        acknowledged = editors[0].acknowledged + editors[1].acknowledged
        self.assertEqual(len(acknowledged), SAVES)
        for seq, digest in acknowledged:
            self.assertEqual(versions.get(seq), digest, f"acknowledged version {seq} is lost")
        self.assertEqual(set(versions.values()) - sent, set(), "something was invented")
        self.assertEqual(sorted(versions), list(range(1, max(versions) + 1)))
        self.assertGreater(editors[0].cut + editors[1].cut + editors[0].unavailable + editors[1].unavailable, 0,
                           "nothing was interrupted: the test killed too late")
        self.assertGreater(editors[0].conflicts + editors[1].conflicts, 10)
        for seq in (1, max(versions) // 2, max(versions)):
            got = editors[0].client("GET", f"/files/{first['id']}/content?seq={seq}")
            self.assertEqual(hashlib.sha256(got.body).hexdigest(), versions[seq])
        print(f"{len(versions)} versions of {SAVES} acknowledged saves; "
              + "; ".join(f"{e.name}: {e.conflicts} conflicts, {e.cut} cut, {e.unavailable} unavailable"
                          for e in editors), flush=True)
        for editor in editors:
            editor.client.close()
        world.close()


class SavesOnSqlite(Saves, unittest.TestCase):
    pass


class SavesOnPostgresql(Saves, unittest.TestCase):
    def make_database(self):
        postgres = Postgres().start()
        self.addCleanup(lambda: postgres.__exit__(None, None, None))
        return postgres


if __name__ == "__main__":
    unittest.main()
