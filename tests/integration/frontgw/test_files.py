"""Workspaces over HTTP, on both databases: files, versions, conflicts, archives, hand-ins."""

import io
import json
import os
import random
import subprocess
import tarfile
import unittest
import zipfile

from clients import Client, OnBothDatabases, World, both, command
from gateway import FRONTGW, SOURCE, Gateway, problem


def zipped(entries):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in entries:
            z.writestr(name, content)
    return data.getvalue()


class Files(OnBothDatabases):
    def setUp(self):
        self.ann, self.ben, self.prof = (self.world.people[p] for p in ("ann", "ben", "prof"))
        self.ws = self.world.workspaces["ann"]

    def refused(self, answer, status, code=None):
        self.assertEqual(answer.status, status, answer)
        if code:
            self.assertEqual(answer.json["code"], code)

    def paths(self, client, workspace, at_ms=None):
        answer = client("GET", f"/workspaces/{workspace}/tree" + (f"?at_ms={at_ms}" if at_ms else ""))
        self.assertEqual(answer.status, 200, answer)
        return {n["path"] for n in answer.json["items"]}

    def make(self, path, data="x", client=None, workspace=None):
        answer = (client or self.ann).create(workspace or self.ws, path, data)
        self.assertEqual(answer.status, 201, answer)
        return answer.json

    def test_saving_and_conflicts(self):
        made = self.make("saving/a.py", "one\n")
        self.assertEqual(made["seq"], 1)
        saved = self.ann.save(made["id"], "two\n", 1)
        self.assertEqual((saved.status, saved.headers["ETag"]), (200, '"2"'), saved)
        same = self.ann.save(made["id"], "two\n", 1)
        self.assertEqual((same.status, same.json["seq"]), (200, 2))
        conflict = self.ann.save(made["id"], "mine\n", 1)
        self.refused(conflict, 412, "edit_conflict")
        self.assertEqual((conflict.json["base"]["text"], conflict.json["current"]["text"],
                          conflict.json["yours"]["text"]), ("one\n", "two\n", "mine\n"))
        self.assertEqual(conflict.headers["ETag"], '"2"')
        self.refused(self.ann("PUT", f"/files/{made['id']}/content", b"x"), 428, "precondition_required")
        for bad in ('2', 'W/"2"', '*', '"1", "2"', '"x"', '""'):
            self.refused(self.ann("PUT", f"/files/{made['id']}/content", b"x", {"If-Match": bad}), 400)
        self.refused(self.ann.save(made["id"], "x", 2, cause="because"), 422)
        versions = self.ann("GET", f"/files/{made['id']}/versions").json["items"]
        self.assertEqual([(v["seq"], v["base_seq"], v["cause"]) for v in versions], [(2, 1, "autosave"), (1, 0, "save")])

    def test_bytes_ranges_and_types(self):
        data = bytes(range(256)) * 40
        made = self.make("types/data.csv", data)
        url = f"/files/{made['id']}/content"
        whole = self.ann("GET", url)
        self.assertEqual((whole.body, whole.headers["ETag"]), (data, '"1"'))
        part = self.ann("GET", url, headers={"Range": "bytes=1000-1999"})
        self.assertEqual((part.status, part.body), (206, data[1000:2000]))
        self.assertEqual(part.headers["Content-Range"], f"bytes 1000-1999/{len(data)}")
        self.assertEqual(self.ann("GET", url, headers={"Range": f"bytes={len(data)}-"}).status, 416)
        self.assertEqual(self.ann("GET", url, headers={"If-None-Match": '"1"'}).status, 304)
        for name in ("page.html", "image.svg", "x.xml", "PAGE.HTM"):
            made = self.make(f"types/{name}", "<svg onload=alert(1)>")
            answer = self.ann("GET", f"/files/{made['id']}/content")
            self.assertTrue(answer.headers["Content-Disposition"].startswith("attachment"), name)
            self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
            self.assertIn("sandbox", answer.headers["Content-Security-Policy"])
            self.assertNotIn("html", answer.headers["Content-Type"])
            self.assertNotIn("svg", answer.headers["Content-Type"])
        image = self.make("types/plot.png", b"\x89PNG")
        self.assertEqual(self.ann("GET", f"/files/{image['id']}/content").headers["Content-Type"], "image/png")

    def test_moving_copying_deleting_and_bringing_back(self):
        made = self.make("tree/deep/a.py")
        moved = self.ann("PATCH", f"/files/{made['id']}", {"path": "tree/b.py"})
        self.assertEqual(moved.status, 200, moved)
        self.assertIn("tree/b.py", self.paths(self.ann, self.ws))
        top = next(n for n in self.ann("GET", f"/workspaces/{self.ws}/tree").json["items"] if n["path"] == "tree")
        self.refused(self.ann("PATCH", f"/files/{top['id']}", {"path": "tree/deep/tree"}), 409)
        copied = self.ann("POST", f"/files/{top['id']}/copy", {"workspace": self.ws, "path": "copy"})
        self.assertEqual(copied.status, 201, copied)
        self.assertTrue({"copy/b.py", "copy/deep"} <= self.paths(self.ann, self.ws))
        self.refused(self.ann("DELETE", f"/files/{made['id']}", headers={"If-Match": '"7"'}), 412)
        self.assertEqual(self.ann("DELETE", f"/files/{top['id']}").status, 204)
        self.refused(self.ann("GET", f"/files/{made['id']}/content"), 404)
        trash = {n["id"] for n in self.ann("GET", f"/workspaces/{self.ws}/trash").json["items"]}
        self.assertIn(made["id"], trash)
        self.assertEqual(self.ann("POST", f"/files/{top['id']}/undelete").status, 200)
        self.assertIn("tree/b.py", self.paths(self.ann, self.ws))

    def test_any_file_and_the_workspace_as_they_were(self):
        made = self.make("then/a.py", "old")
        at = made["modified_ms"]
        self.ann.save(made["id"], "new", 1, cause="run")
        self.ann("PATCH", f"/files/{made['id']}", {"path": "then/z.py"})
        self.assertEqual(self.ann("GET", f"/files/{made['id']}/content?at_ms={at}").body, b"old")
        self.assertEqual(self.ann("GET", f"/files/{made['id']}/content?seq=1").body, b"old")
        self.assertIn("then/a.py", self.paths(self.ann, self.ws, at))
        self.assertNotIn("then/z.py", self.paths(self.ann, self.ws, at))
        back = self.ann("POST", f"/files/{made['id']}/versions/1/restore")
        self.assertEqual((back.status, back.json["seq"]), (200, 3), back)
        self.refused(self.ann("POST", f"/files/{made['id']}/versions/99/restore"), 404)
        self.refused(self.ann("GET", f"/files/{made['id']}/content?seq=0"), 422)

    def test_a_workspace_goes_down_and_up_as_an_archive(self):
        eve, ws = self.world.people["eve"], self.world.workspaces["eve"]
        self.make("src/a.py", "print(1)\n", eve, ws)
        self.make("\u00e9t\u00e9/\U0001f40d.txt", "snake", eve, ws)
        down = eve("GET", f"/workspaces/{ws}/archive")
        self.assertEqual((down.status, down.headers["Content-Type"]), (200, "application/zip"))
        with zipfile.ZipFile(io.BytesIO(down.body)) as z:
            self.assertEqual(z.read("\u00e9t\u00e9/\U0001f40d.txt"), b"snake")
        up = eve("POST", f"/workspaces/{ws}/archive?directory=again", down.body)
        self.assertEqual((up.status, up.json["files"]), (200, 2), up)
        self.assertIn("again/\u00e9t\u00e9/\U0001f40d.txt", self.paths(eve, ws))
        same = eve("POST", f"/workspaces/{ws}/archive?directory=again", down.body)
        self.assertEqual((same.json["files"], same.json["unchanged"]), (0, 2))
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as t:
            info = tarfile.TarInfo("./t/x.txt")
            info.size = 2
            t.addfile(info, io.BytesIO(b"hi"))
        self.assertEqual(eve("POST", f"/workspaces/{ws}/archive", data.getvalue()).json["files"], 1)
        self.assertIn("t/x.txt", self.paths(eve, ws))

    def test_archives_that_lead_elsewhere_or_explode_are_refused_whole(self):
        ws, before = self.ws, self.paths(self.ann, self.ws)
        hostile = [zipped([("ok.txt", "x"), (name, "x")]) for name in
                   ("../up.txt", "a/../../up.txt", "/abs.txt", "a\\..\\b", "a//b", "nul\x01", "..", "a/./b")]
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            data = io.BytesIO()
            with tarfile.open(fileobj=data, mode="w") as t:
                info = tarfile.TarInfo("evil")
                info.type, info.linkname = kind, "/etc/passwd"
                t.addfile(info)
            hostile.append(data.getvalue())
        hostile += [b"", b"PK", os.urandom(2000), zipped([("a", "x")])[:-30]]
        hostile.append(zipped([(f"bomb{i}", b"\0" * (9 << 20)) for i in range(20)]))
        for i, data in enumerate(hostile):
            answer = self.ann("POST", f"/workspaces/{ws}/archive", data)
            self.assertIn(answer.status, (413, 422, 507), f"number {i}: {answer}")
        self.refused(self.ann("POST", f"/workspaces/{ws}/archive", zipped([("big", os.urandom(11 << 20))])), 413)
        self.refused(self.ann("POST", f"/workspaces/{ws}/archive?directory=../x", zipped([("a", "x")])), 422)
        self.assertEqual(self.paths(self.ann, ws), before)

    def test_quotas(self):
        self.world.people["root"]("PATCH", f"/users/{self.world.ids['ben']}", {"bytes_max": 1000, "files_max": 3})
        ws = self.world.workspaces["ben"]
        made = self.make("a", b"x" * 900, self.ben, ws)
        self.refused(self.ben.create(ws, "b", b"y" * 101), 507, "quota_exceeded")
        self.refused(self.ben.create(ws, "1/2/3", b""), 507)
        self.assertEqual(self.ben.save(made["id"], b"x" * 1000, 1).status, 200)
        self.refused(self.ben("POST", f"/workspaces/{ws}/archive", zipped([(str(i), "x") for i in range(9)])), 507)
        self.refused(self.ben.create(ws, "big", b"x" * ((10 << 20) + 1)), 413)
        state = self.ben("GET", f"/workspaces/{ws}").json
        self.assertEqual((state["bytes"], state["files"]), (1000, 1))

    def test_handing_in(self):
        course = self.world.course
        section = self.prof("POST", f"/courses/{course}/sections", {"kind": "assignment", "title": "Sheet"}).json
        url = f"/courses/{course}/sections/{section['id']}/submissions"
        made = self.make("sheet/a.py", "v1")
        sent = self.ann("POST", url, {"path": "sheet"})
        self.assertEqual((sent.status, [e["path"] for e in sent.json["entries"]]), (201, ["a.py"]), sent)
        self.ann.save(made["id"], "v2", 1)
        mine = f"/submissions/{sent.json['id']}"
        archive = self.prof("GET", mine + "/archive")
        with zipfile.ZipFile(io.BytesIO(archive.body)) as z:
            self.assertEqual(z.read("a.py"), b"v1")
        for client in (self.ben, self.world.people["eve"], self.world.people["prof2"]):
            self.refused(client("GET", mine), 404)
            self.refused(client("GET", mine + "/archive"), 404)
        self.refused(self.ann("PATCH", mine, {"grade": "1.0"}), 403)
        graded = self.prof("PATCH", mine, {"grade": "1.3", "feedback": "Nice.\nReally."})
        self.assertEqual((graded.status, self.ann("GET", mine).json["feedback"]), (200, "Nice.\nReally."))
        self.prof("PATCH", f"/courses/{course}/sections/{section['id']}", {"locked": True})
        self.refused(self.ann("POST", url), 409)
        self.assertEqual(self.prof("GET", url).json["items"][0]["login"], "ann")
        self.assertEqual(self.ben("GET", url).json["items"], [])

    def test_staff_reads_are_written_down(self):
        made = self.make("private/diary.txt", "secret")
        self.assertEqual(self.prof("GET", f"/files/{made['id']}/content").body, b"secret")
        self.refused(self.prof.save(made["id"], "x", 1), 403)
        entries = self.world.people["root"]("GET", "/audit?limit=1000").json["items"]
        read = [e for e in entries if e["action"] == "staff_read" and e["object"] == made["id"]]
        self.assertEqual([(e["actor"], e["role"]) for e in read], [(self.world.ids["prof"], "professor")])

    def test_material_is_read_by_students_and_copied_to_their_own(self):
        notes = self.prof("GET", f"/courses/{self.world.course}/sections").json["items"][0]["workspace"]
        made = self.make("week1/intro.py", "hello", self.prof, notes)
        self.assertEqual(self.ann("GET", f"/files/{made['id']}/content").body, b"hello")
        self.refused(self.ann.save(made["id"], "mine", 1), 403)
        copied = self.ann("POST", f"/files/{made['id']}/copy", {"workspace": self.ws, "path": "intro.py"})
        self.assertEqual(copied.status, 201, copied)
        self.assertEqual(self.ann.save(copied.json["id"], "mine", 1).status, 200)
        self.refused(self.world.people["eve"]("GET", f"/files/{made['id']}"), 404)

    def test_random_changes_leave_the_books_in_order(self):
        """Whatever is done in whatever order: the charge is the sum of what is there."""
        rng, client, ws = random.Random(7), self.world.people["eve"], self.world.workspaces["eve"]
        for step in range(150):
            nodes = client("GET", f"/workspaces/{ws}/tree").json["items"]
            node = rng.choice(nodes) if nodes else None
            path = "/".join(rng.choice("abc") for _ in range(rng.randint(1, 3)))
            what = rng.randrange(6)
            if what <= 1 or not node:
                client.create(ws, path, b"x" * rng.randrange(50))
            elif what == 2:
                client("PATCH", f"/files/{node['id']}", {"path": path})
            elif what == 3:
                client("POST", f"/files/{node['id']}/copy", {"workspace": ws, "path": path})
            elif what == 4:
                client("DELETE", f"/files/{node['id']}")
            else:
                trash = client("GET", f"/workspaces/{ws}/trash").json["items"]
                if trash:
                    client("POST", f"/files/{rng.choice(trash)['id']}/undelete")
        nodes = client("GET", f"/workspaces/{ws}/tree").json["items"]
        state = client("GET", f"/workspaces/{ws}").json
        self.assertEqual(state["files"], len(nodes))
        self.assertEqual(state["bytes"], sum(n.get("size", 0) for n in nodes))
        self.assertEqual(len({n["path"] for n in nodes}), len(nodes))

    def test_nothing_on_disk_is_named_by_a_user(self):
        self.make("tell-tale/tell-tale.py", "tell-tale content")
        for directory, directories, names in os.walk(self.gw.directory / "data"):
            for name in directories + names:
                self.assertRegex(name, r"^(frontgw\.db(-wal|-shm)?|blobs|tmp|[0-9a-f]{2}|[0-9a-f]{64})$", directory)

    def test_the_nightly_backup_keeps_the_audit_heads(self):
        config = self.gw.directory / "frontgw.conf"
        config.write_text(command(self.gw, "--print-config").stdout)
        env = {"PATH": os.environ["PATH"], "FRONTGW": str(FRONTGW), **{k: str(v) for k, v in self.gw.env.items()}}
        nightly = [SOURCE / "deploy/systemd/frontgw-backup.sh", config, self.gw.directory / "nightly"]
        subprocess.run(nightly, env=env, check=True, capture_output=True, timeout=60)
        head = (self.gw.directory / "nightly/audit-head").read_text()
        old = self.gw.directory / "nightly/frontgw-20200101T000000Z.tar.gz"
        old.write_bytes(b"")
        os.utime(old, (1577836800, 1577836800))
        self.ann("POST", "/me/keys", {"name": "k", "scopes": ["read"]})
        subprocess.run(nightly, env=env, check=True, capture_output=True, timeout=60)
        self.assertFalse(old.exists())
        self.assertNotEqual((self.gw.directory / "nightly/audit-head").read_text(), head)
        (self.gw.directory / "nightly/audit-head").write_text("1:" + "0" * 64)
        self.assertNotEqual(subprocess.run(nightly, env=env, capture_output=True, timeout=60).returncode, 0)

    def test_a_backup_taken_while_serving_restores_to_the_same(self):
        self.make("kept/a.py", "in the backup")
        archive = self.gw.directory / "backup.tar.gz"
        made = command(self.gw, "backup", str(archive))
        self.assertEqual(made.returncode, 0, made.stderr)
        refused = command(self.gw, "restore", str(archive))
        self.assertEqual(refused.returncode, 1)
        self.assertIn("empty", refused.stderr)
        with Gateway(settings=self.gw.settings | {"data.directory": self.gw.directory / "restored"}) as other:
            restored = command(other, "restore", str(archive))
            self.assertEqual(restored.returncode, 0, restored.stderr)
            self.assertEqual(restored.stdout, made.stdout)
            self.assertEqual(command(other, "audit", "verify").returncode, 0)
            ann = Client(other)
            self.assertEqual(ann.login("ann", "chosen ann!").status, 200)
            self.assertEqual(self.paths(ann, self.ws), self.paths(self.ann, self.ws))
            for node in self.ann("GET", f"/workspaces/{self.ws}/tree").json["items"]:
                if node["kind"] == "file":
                    url = f"/files/{node['id']}/content"
                    self.assertEqual(ann("GET", url).body, self.ann("GET", url).body)
            ann.close()
        cut = self.gw.directory / "cut.tar.gz"
        cut.write_bytes(archive.read_bytes()[:-200])
        empty = Gateway(settings=self.gw.settings | {"data.directory": self.gw.directory / "empty"})
        refused = command(empty, "restore", str(cut))
        self.assertEqual(refused.returncode, 1, refused.stdout)


both(globals(), Files)
if __name__ == "__main__":
    unittest.main()
