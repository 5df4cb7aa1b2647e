"""What programs do with sqlite3, in place of the tests that Debian does not ship; writes junit.xml."""

import os
import sqlite3
import sys
import threading
import unittest


class Sqlite(unittest.TestCase):
    def setUp(self):
        self.path = os.path.abspath("test.db")
        self.db = sqlite3.connect(self.path)
        self.db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT, bytes BLOB)")

    def tearDown(self):
        self.db.close()
        for end in ("", "-wal", "-shm", "-journal"):
            if os.path.exists(self.path + end):
                os.unlink(self.path + end)

    def fill(self, n=1000):
        with self.db:
            self.db.executemany("INSERT INTO t (text, bytes) VALUES (?, ?)", [(f"row {i}", bytes([i % 256])) for i in range(n)])

    def rows(self, db=None):
        return (db or self.db).execute("SELECT count(*) FROM t").fetchone()[0]

    def test_rows_come_back(self):
        self.fill()
        self.assertEqual(self.db.execute("SELECT text, bytes FROM t WHERE n = 500").fetchone(), ("row 499", b"\xf3"))

    def test_rollback(self):
        self.fill(10)
        self.db.execute("DELETE FROM t")
        self.db.rollback()
        self.assertEqual(self.rows(), 10)

    def test_write_ahead_log_and_shared_memory(self):
        self.assertEqual(self.db.execute("PRAGMA journal_mode = WAL").fetchone(), ("wal",))
        self.fill()
        other = sqlite3.connect(self.path)
        self.assertEqual(self.rows(other), 1000)
        self.assertTrue(os.path.exists(self.path + "-shm"))
        other.close()

    def test_locks_between_connections(self):
        other = sqlite3.connect(self.path, timeout=0)
        self.db.execute("BEGIN EXCLUSIVE")
        with self.assertRaises(sqlite3.OperationalError):
            other.execute("INSERT INTO t (n) VALUES (1)")
        self.db.rollback()
        other.close()

    def test_locks_between_processes(self):
        self.db.execute("BEGIN EXCLUSIVE")
        pid = os.fork()
        if pid == 0:
            try:
                sqlite3.connect(self.path, timeout=0).execute("INSERT INTO t (n) VALUES (1)")
            except sqlite3.OperationalError:
                os._exit(7)
            os._exit(0)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 7)
        self.db.rollback()

    def test_threads(self):
        def add():
            with sqlite3.connect(self.path, timeout=20) as db:
                db.execute("INSERT INTO t (text) VALUES ('from a thread')")
        threads = [threading.Thread(target=add) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.rows(), 8)

    def test_backup_and_temporary_files(self):
        self.fill()
        copy = sqlite3.connect("")
        self.db.backup(copy)
        copy.execute("PRAGMA cache_size = 1")
        copy.execute("CREATE TEMP TABLE u AS SELECT a.n AS m, b.n FROM t a, t b LIMIT 50000")
        self.assertEqual(self.rows(copy), 1000)
        copy.close()

    def test_full_text_search(self):
        self.db.execute("CREATE VIRTUAL TABLE f USING fts5(text)")
        self.db.execute("INSERT INTO f VALUES ('the quick brown fox')")
        self.assertEqual(self.db.execute("SELECT count(*) FROM f WHERE f MATCH 'brown'").fetchone()[0], 1)


class Results(unittest.TextTestResult):
    def startTestRun(self):
        self.cases = []

    def stopTest(self, test):
        super().stopTest(test)
        bad = any(test is t for t, _ in self.failures + self.errors)
        self.cases.append('<testcase name="%s">%s</testcase>' % (test.id(), "<failure/>" if bad else ""))

    def stopTestRun(self):
        with open("junit.xml", "w") as out:
            out.write("<testsuite>" + "".join(self.cases) + "</testsuite>")


if __name__ == "__main__":
    names = [name.removeprefix("__main__.") for name in sys.argv[1:]]
    unittest.main(argv=["sqlite", *names], testRunner=unittest.TextTestRunner(resultclass=Results))
