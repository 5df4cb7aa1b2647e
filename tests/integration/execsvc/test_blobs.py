"""Blobs.Missing, Blobs.Put, and runs whose files are blobs."""

import hashlib
import os
import signal
import threading
import time
import unittest

import grpc

from common import SLOW, Run, Service, ServiceTest, contract, main, wait_for

MIB = 1 << 20
READ_ALL = """
n = 0
with open("big", "rb") as f:
    while block := f.read(1 << 20):
        n += len(block)
print(n)
"""


def name_of(content):
    return hashlib.sha256(content).digest()


def first(content, sha256=None, size=None):
    return contract.PutRequest(sha256=sha256 or name_of(content), size=len(content) if size is None else size,
                               data=content)


class Puts(ServiceTest):
    settings = {"execsvc": {"blob_size": "2M", "stall": "2s", "blob_puts_per_tenant": 2}}

    def refused(self, messages, code, field=None, reason=None):
        got, details = self.client.refused_put(messages)
        self.assertEqual(got, code, details)
        self.assertEqual(details.get("field"), field)
        if reason:
            self.assertEqual(details["reason"], reason)
        return details

    def test_a_blob_is_missing_until_it_is_put(self):
        content = b"a blob" * 1000
        other = name_of(b"never put")
        self.assertEqual(self.client.missing([name_of(content), other]), [name_of(content), other])
        answer = self.client.put_messages([first(content)])
        self.assertFalse(answer.existed)
        self.assertEqual(self.client.missing([name_of(content), other]), [other])
        self.assertTrue(self.client.put_messages([first(content)]).existed)

    def test_bytes_come_in_messages_of_any_size(self):
        content = os.urandom(300001)
        self.assertEqual(self.client.missing([self.client.put(content, chunk=7001)]), [])
        head = contract.PutRequest(sha256=name_of(content[1:]), size=len(content) - 1)
        self.client.put_messages([head, contract.PutRequest(), contract.PutRequest(data=content[1:])])
        self.assertEqual(self.client.missing([name_of(content[1:])]), [])
        self.client.put(b"")
        self.assertEqual(self.client.missing([name_of(b"")]), [])

    def test_what_is_wrong_is_named(self):
        content = os.urandom(1000)
        self.refused([first(content, sha256=b"x" * 32)], "INVALID_ARGUMENT", "data", "BLOB_MISMATCH")
        self.refused([first(content, size=999)], "INVALID_ARGUMENT", "data", "BLOB_MISMATCH")
        self.refused([first(content, size=1001)], "INVALID_ARGUMENT", "data", "BLOB_MISMATCH")
        self.refused([first(content, size=1999), contract.PutRequest(data=content)], "INVALID_ARGUMENT", "data")
        self.refused([first(content, sha256=b"short")], "INVALID_ARGUMENT", "sha256")
        self.refused([contract.PutRequest(data=content)], "INVALID_ARGUMENT", "sha256")
        self.refused([], "INVALID_ARGUMENT", "sha256")
        self.refused([first(content, size=2000), first(content)], "INVALID_ARGUMENT", "sha256")
        self.refused([contract.PutRequest(sha256=name_of(content), size=2 * MIB), contract.PutRequest(data=bytes(MIB + 1))],
                     "INVALID_ARGUMENT", "data")
        self.refused([first(content, size=2 * MIB + 1)], "INVALID_ARGUMENT", "size", "OUT_OF_LIMITS")
        for names, field in (([], "sha256"), ([b"x" * 31], "sha256[0]"), ([b"x" * 32] * 4097, "sha256")):
            with self.assertRaises(grpc.RpcError) as caught:
                self.client.missing(names)
            self.assertEqual(caught.exception.code().name, "INVALID_ARGUMENT")
            self.assertIn(field, caught.exception.details())
        self.assertEqual(self.client.missing([name_of(content)]), [name_of(content)])

    def test_nothing_stays_of_a_put_that_was_left(self):
        before = self.service.metrics()["execsvc_blob_cache_bytes"]
        half = contract.PutRequest(sha256=b"h" * 32, size=MIB, data=b"half")

        def messages():
            yield half
            time.sleep(0.2)
            raise RuntimeError("the client breaks off")
        with self.assertRaises(grpc.RpcError):
            self.client.put_messages(messages())
        wait_for(lambda: self.service.metrics()["execsvc_blob_cache_bytes"] == before, 10 * SLOW, "the room of a put")
        self.assertEqual(os.listdir(self.service.directory / "cache" / "tmp"), [])

    def test_who_stalls_gives_his_room_back_and_has_a_number_of_puts(self):
        go = threading.Event()
        codes = []

        def messages():
            yield contract.PutRequest(sha256=os.urandom(32), size=100, data=b"x")
            go.wait(30)

        def stall():
            codes.append(self.client.refused_put(messages())[0])
        threads = [threading.Thread(target=stall) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(os.listdir(self.service.directory / "cache" / "tmp")) == 2, 10 * SLOW, "two puts")
        details = self.refused([first(os.urandom(10))], "RESOURCE_EXHAUSTED", None, "TOO_MANY_PUTS")
        self.assertGreater(details["retry_ms"], 0)
        wait_for(lambda: len(codes) == 2, 20 * SLOW, "the end of stalled puts")
        go.set()
        for thread in threads:
            thread.join()
        self.assertEqual(codes, ["DEADLINE_EXCEEDED"] * 2)
        self.client.put(os.urandom(10))


class Eviction(ServiceTest):
    settings = {"execsvc": {"blob_cache": "4M", "blob_cache_per_tenant": "4M", "blob_size": "2M"}}

    def test_the_oldest_goes_but_nothing_that_a_run_needs(self):
        pinned, old, new = (os.urandom(MIB) for _ in range(3))
        names = [self.client.put(content) for content in (pinned, old, new)]
        run = self.client.interact(argv=["/bin/sh", "-c", "echo there; read x; sha256sum < p"], blobs={"p": names[0]})
        run.expect("there")
        self.client.put(os.urandom(MIB))
        self.assertEqual(self.client.missing(names[1:2]), names[1:2])
        self.client.put(os.urandom(MIB))
        self.assertEqual(self.client.missing(names), names[1:])
        run.type("\n")
        run.half_close()
        self.assertIn(hashlib.sha256(pinned).hexdigest().encode(), run.end().stdout)
        for _ in range(2):
            self.client.put(os.urandom(2 * MIB - 4096))
        self.assertEqual(self.client.missing(names), names)

    def test_when_all_is_needed_the_next_is_refused_and_can_come_later(self):
        contents = [os.urandom(2 * MIB - 8192), os.urandom(MIB)]
        names = [self.client.put(content) for content in contents]
        run = self.client.interact(argv=["/bin/sh", "-c", "echo there; read x"], blobs=dict(zip("ab", names)))
        run.expect("there")
        late = os.urandom(2 * MIB)
        code, details = self.client.refused_put([first(late[:MIB], name_of(late), 2 * MIB)])
        self.assertEqual((code, details["reason"]), ("RESOURCE_EXHAUSTED", "BLOB_CACHE_FULL"))
        self.assertGreater(details["retry_ms"], 0)
        run.half_close()
        run.end()
        self.client.put(late)

    def test_a_blob_that_went_is_named_by_the_run_that_wants_it(self):
        name = self.client.put(b"soon gone")
        for _ in range(3):
            self.client.put(os.urandom(2 * MIB - 4096))
        run = self.client.run(argv=["/bin/true"], files={"here": "x"}, blobs={"gone": name})
        self.assertEqual((run.code, run.details["reason"], run.details["field"]),
                         ("FAILED_PRECONDITION", "BLOB_MISSING", "files[1].sha256"))
        self.client.put(b"soon gone")
        self.assertVerdict(self.client.run(argv=["/bin/cat", "gone"], blobs={"gone": name}), "EXITED", 0)

    def test_metrics_count(self):
        before = self.service.metrics()
        for _ in range(4):
            self.client.put(os.urandom(2 * MIB - 4096))
        after = self.service.metrics()
        self.assertGreaterEqual(after["execsvc_blob_evictions_total"] - before["execsvc_blob_evictions_total"], 2)
        self.assertEqual(after["execsvc_blob_puts_total"] - before["execsvc_blob_puts_total"], 4)
        self.assertLessEqual(after["execsvc_blob_cache_bytes"], 4 * MIB)
        self.assertEqual(after["execsvc_blob_cache_bytes_max"], 4 * MIB)


class Runs(ServiceTest):
    settings = {"execsvc": {"blob_cache": "600M", "blob_cache_per_tenant": "400M"}}

    def setUp(self):
        super().setUp()
        self.text = self.client.put(b"line\n" * 1000)
        self.tool = self.client.put(b"#!/bin/sh\necho tool ran\n")

    def test_the_program_sees_its_files_and_their_modes(self):
        run = self.python("import os, stat\n"
                          "for p in ('data/in.txt', 'bin/tool', 'main.py', 'data'):\n"
                          "    s = os.stat(p)\n"
                          "    print(p, oct(s.st_mode), s.st_uid == os.getuid(), s.st_size if p != 'data' else '')\n"
                          "os.system('bin/tool')\n"
                          "print(open('data/in.txt').read() == 'line\\n' * 1000, sorted(os.listdir('.')))\n",
                          blobs={"data/in.txt": self.text, "bin/tool": self.tool}, executable=("bin/tool",))
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(run.stdout.decode().splitlines(), [
            "data/in.txt 0o100644 True 5000", "bin/tool 0o100755 True 24", "main.py 0o100644 True 280", "data 0o40755 True ",
            "tool ran", "True ['bin', 'data', 'main.py']"])

    def test_what_was_changed_comes_back_and_nothing_else(self):
        run = self.python("import os, shutil\n"
                          "open('data/a', 'a').write('more')\n"
                          "os.remove('data/b')\n"
                          "os.rename('data/c', 'data/moved')\n"
                          "open('data/new', 'w').write('new')\n"
                          "shutil.rmtree('tree'); os.mkdir('tree'); open('tree/x', 'w').write('x')\n"
                          "print(sorted(os.listdir('data')), os.listdir('tree'), open('same').readline())\n",
                          blobs={f"data/{n}": self.text for n in "abc"} | {"tree/deep/f": self.text, "same": self.text},
                          collect={})
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(run.stdout, b"['a', 'moved', 'new'] ['x'] line\n\n")
        self.assertEqual({path: len(file["data"]) for path, file in run.files.items()},
                         {b"data/a": 5004, b"data/moved": 5000, b"data/new": 3, b"tree/x": 1})
        self.assertEqual(len(run.result.outputs_skipped), 0)
        again = self.python("print(len(open('data/a').read()), open('data/b').readline())",
                            blobs={f"data/{n}": self.text for n in "abc"} | {"tree/deep/f": self.text, "same": self.text},
                            collect={})
        self.assertEqual((again.stdout, again.files), (b"5000 line\n\n", {}))

    def test_modes_times_and_links_can_be_changed(self):
        run = self.python("import os\n"
                          "os.chmod('f', 0o600); os.utime('f', (1, 2)); os.link('f', 'g'); os.truncate('h', 5)\n"
                          "print(oct(os.stat('f').st_mode), os.stat('g').st_mtime, open('h').read())\n",
                          blobs={"f": self.text, "h": self.text})
        self.assertEqual(run.stdout, b"0o100600 2.0 line\n\n", run)

    def test_two_hundred_megabytes_are_read_in_a_run_of_sixty_four(self):
        content = os.urandom(MIB) * 200
        name = self.client.put(content)
        limits = {"memory_bytes": 64 * MIB, "workspace_bytes": MIB}
        for cold in (False, True):
            if cold:  # as after a night: nothing of it is in memory any more
                for path in (self.service.directory / "cache" / "blobs").glob(f"*{name.hex()}"):
                    fd = os.open(path, os.O_RDONLY)
                    os.fsync(fd)
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                    os.close(fd)
            run = self.python(READ_ALL, blobs={"big": name}, limits=limits)
            self.assertVerdict(run, "EXITED", 0)
            self.assertEqual(run.stdout, b"%d\n" % len(content))
            self.assertEqual(list(run.result.limits_hit), [])
            if not cold:
                self.assertLess(run.result.usage.memory_peak_bytes, 64 * MIB)
        run = self.python("open('big', 'r+b')", blobs={"big": name}, limits=limits | {"file_size_bytes": 300 * MIB})
        self.assertIn(b"No space left", run.stderr)  # a copy of it is the run's own
        self.assertEqual(self.python("print(len(open('new', 'wb').write(bytes(500000)) * 'x'))", blobs={"big": name},
                                     limits=limits).stdout, b"500000\n")

    def test_the_limits_of_the_workspace_are_for_what_the_run_makes(self):
        blobs = {f"d{i % 64}/e{i % 7}/f{i}": (self.text, self.tool)[i % 2] for i in range(4095)}
        run = self.python("import os\nprint(sum(len(f) for _, _, f in os.walk('.')))\n"
                          "for i in range(20): open(f'n{i}', 'w')\n", blobs=blobs, limits={"inodes": 40}, collect={})
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(run.stdout, b"4096\n")
        self.assertEqual(len(run.files), 20)
        run = self.python("for i in range(50): open(f'n{i}', 'w')", blobs=blobs, limits={"inodes": 40})
        self.assertIn(b"No space left", run.stderr)
        self.assertIn("inodes", run.result.limits_hit)

    def test_an_input_of_the_limits_size_is_not_the_programs(self):
        name = self.client.put(os.urandom(MIB))
        run = self.client.run(argv=["/bin/false"], blobs={"f": name}, limits={"file_size_bytes": MIB})
        self.assertVerdict(run, "EXITED", 1)
        self.assertEqual(list(run.result.limits_hit), [])

    def test_runs_side_by_side_share_neither_changes_nor_locks(self):
        code = ("import fcntl, sys\nf = open('f', 'r')\n"
                "fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\nfcntl.lockf(open('g', 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
                "print('locked', flush=True)\nsys.stdin.readline()\nprint(f.readline(), open('h').readline())\n")
        request = {"runtime": "python3", "files": {"m.py": code}, "entry": "m.py", "blobs": {n: self.text for n in "fgh"}}
        runs = [self.client.interact(**request) for _ in range(2)]
        for run in runs:
            run.expect("locked")
        change = self.python("open('h', 'w').write('changed')", blobs=request["blobs"])
        self.assertVerdict(change, "EXITED", 0)
        for run in runs:
            run.type("\n")
            run.half_close()
            self.assertIn(b"line\n line\n", run.end().stdout)

    def test_a_compiler_takes_them_too(self):
        source = self.client.put(b'#include "n.h"\n#include <stdio.h>\nint main(void) { printf("%d\\n", N); return 0; }\n')
        run = self.client.run(runtime="c", blobs={"main.c": source}, files={"n.h": "#define N 42\n"}, entry="main.c")
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(run.stdout, b"42\n")

    def test_many_at_once_over_one_set(self):
        runs = []

        def one():
            client = self.service.client()
            runs.append(client.run(argv=["/bin/sh", "-c", "sha256sum < f; echo x >> f; wc -c < f"], blobs={"f": self.text}))
            client.close()
        threads = [threading.Thread(target=one) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({run.stdout for run in runs}, {hashlib.sha256(b"line\n" * 1000).hexdigest().encode() + b"  -\n5002\n"})


class Guards(ServiceTest):
    settings = {'identity "uid:0"': {"act_for": "*"}}

    def test_a_hash_alone_is_no_key(self):
        mine, theirs = self.service.client(subject="anna"), self.service.client(subject="ben")
        name = mine.put(b"anna's answer")
        self.assertEqual(theirs.missing([name]), [name])
        run = theirs.run(argv=["/bin/cat", "f"], blobs={"f": name})
        self.assertEqual((run.code, run.details["reason"], run.stdout), ("FAILED_PRECONDITION", "BLOB_MISSING", b""))
        # Who has the bytes may put them, and learns nothing from that: neither now nor from the file itself.
        self.assertFalse(theirs.put_messages([first(b"anna's answer")]).existed)
        run = theirs.run(argv=["/usr/bin/stat", "-c", "%h", "f"], blobs={"f": name})
        self.assertEqual(run.stdout, b"2\n")
        mine.close()
        theirs.close()

    def test_paths_and_names_are_checked(self):
        name = self.client.put(b"x")
        for path in ("../x", "/etc/x", "a/../../x", "a//b", ".", "a\nb", "a/" * 32 + "b"):
            run = self.client.run(argv=["/bin/true"], blobs={path: name})
            self.assertEqual((run.code, run.details["field"]), ("INVALID_ARGUMENT", "files[0].path"), path)
        run = self.client.run(argv=["/bin/true"], blobs={"x": b"short"})
        self.assertEqual((run.code, run.details["field"]), ("INVALID_ARGUMENT", "files[0].sha256"))
        run = self.client.run(argv=["/bin/true"], blobs={"x": name, "x/y": name})
        self.assertEqual(run.code, "INVALID_ARGUMENT")
        request = self.client.request(argv=["/bin/true"], blobs={"x": name})
        request.files[0].content = b"both"
        run = self.client.finish(self.client.execute(request), Run())
        self.assertEqual(run.code, "INVALID_ARGUMENT")

    def planted(self, plant):
        """A set of one file, "f" in "d", after somebody with the service's rights has been at it."""
        content = os.urandom(64)
        blobs = {"d/f": self.client.put(content)}
        self.assertVerdict(self.client.run(argv=["/bin/true"], blobs=blobs), "EXITED", 0)
        sets = self.service.directory / "cache" / "sets"
        plant(max(sets.iterdir(), key=lambda path: path.stat().st_ctime_ns))
        return self.client.run(argv=["/bin/sh", "-c", "cat d/* 2>&1; ls -lan d; id -u"], blobs=blobs)

    def test_a_set_that_is_a_link_is_not_followed(self):
        def plant(path):
            path.rename(self.service.directory / "elsewhere")
            path.symlink_to("/etc")
        run = self.planted(plant)
        self.assertEqual(run.code, "INTERNAL", run)
        self.assertEqual(run.stdout, b"")

    def test_what_was_planted_in_a_set_opens_nothing(self):
        def plant(path):
            (path / "d" / "link").symlink_to("/etc/hostname")
            os.mknod(path / "d" / "device", 0o20666, os.makedev(1, 5))
            (path / "d" / "roots").write_text("host secret")
            (path / "d" / "roots").chmod(0o600)
            (path / "d" / "out").symlink_to(self.service.config)
        run = self.planted(plant)
        self.assertVerdict(run, "EXITED", 0)
        self.assertIn(b"cloister\n", run.stdout)  # the sandbox's own name, not the host's
        self.assertEqual(run.stdout.count(b"Permission denied"), 2, run.stdout)
        self.assertNotIn(b"host secret", run.stdout)
        self.assertNotIn(b"[spawner]", run.stdout)

    def test_what_somebody_has_removed_is_asked_for_again(self):
        name = self.client.put(b"gone by hand")
        for path in (self.service.directory / "cache" / "blobs").glob(f"*-{name.hex()}"):
            path.unlink()
        run = self.client.run(argv=["/bin/cat", "f"], blobs={"f": name})
        self.assertEqual((run.code, run.details["reason"]), ("FAILED_PRECONDITION", "BLOB_MISSING"))
        self.assertEqual(self.client.missing([name]), [name])
        self.client.put(b"gone by hand")
        self.assertEqual(self.client.run(argv=["/bin/cat", "f"], blobs={"f": name}).stdout, b"gone by hand")

    def test_the_cache_is_the_services_alone(self):
        for path in (self.service.directory / "cache", self.service.directory / "cache" / "sets"):
            status = path.stat()
            self.assertEqual(status.st_mode & 0o777, 0o700, path)
            self.assertNotEqual(status.st_uid, 0)


class Restart(ServiceTest):
    def again(self, which):
        started = len(self.service.events("service.ready"))
        name = self.client.put(b"stays" * 1000)
        run = self.client.interact(argv=["/bin/sh", "-c", "echo there; sleep 60"], blobs={"f": name})
        run.expect("there")
        (self.service.directory / "cache" / "tmp" / "half").write_bytes(b"half")
        os.kill(self.service.pids()[which], signal.SIGKILL)
        self.service.wait_ready(started + 1)
        run.end()
        self.client.close()
        self.client = self.service.client()
        self.assertEqual(self.client.missing([name]), [])
        run = self.client.run(argv=["/usr/bin/head", "-c", "5", "f"], blobs={"f": name})
        self.assertEqual(run.stdout, b"stays", run)
        self.assertEqual(os.listdir(self.service.directory / "cache" / "tmp"), [])
        self.assertEqual(len(os.listdir(self.service.directory / "cache" / "sets")), 1)

    def test_execsvc_is_killed(self):
        self.again(1)

    def test_the_inner_spawner_is_killed(self):
        self.again(0)


class End(unittest.TestCase):
    def test_a_put_under_way_does_not_hold_up_the_end(self):
        with Service() as service:
            client, codes = service.client(), []

            def messages():
                yield contract.PutRequest(sha256=b"h" * 32, size=MIB, data=b"half")
                time.sleep(60)
            thread = threading.Thread(target=lambda: codes.append(client.refused_put(messages())[0]), daemon=True)
            thread.start()
            wait_for(lambda: os.listdir(service.directory / "cache" / "tmp"), 10 * SLOW, "a put")
            client.put(b"whole")
            service.stop()
            thread.join(10 * SLOW)
            self.assertEqual(codes, ["UNAVAILABLE"])
            self.assertEqual(os.listdir(service.directory / "cache" / "tmp"), [])
            self.assertEqual(len(os.listdir(service.directory / "cache" / "blobs")), 1)
            client.close()


class Without(unittest.TestCase):
    def test_a_node_without_a_cache_says_so(self):
        with Service({"spawner": {"cache_dir": "none"}}) as service:
            client = service.client()
            code, details = client.refused_put([first(b"x")])
            self.assertEqual((code, details["reason"]), ("UNIMPLEMENTED", "BLOBS_NOT_OFFERED"))
            run = client.run(argv=["/bin/true"], blobs={"x": b"x" * 32})
            self.assertEqual((run.code, run.details["reason"]), ("UNIMPLEMENTED", "BLOBS_NOT_OFFERED"))
            self.assertEqual(client.run(argv=["/bin/cat", "f"], files={"f": "inline"}).stdout, b"inline")
            client.close()

    def test_a_cache_on_a_file_system_without_mapped_mounts_is_no_fault(self):
        with Service({"spawner": {"cache_dir": "/proc/cloister"}}) as service:
            self.assertEqual(len(service.events("blobs.off")), 1)
            client = service.client()
            self.assertEqual(client.run(argv=["/bin/echo", "works"]).stdout, b"works\n")
            client.close()


if __name__ == "__main__":
    main()
