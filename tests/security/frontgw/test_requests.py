"""Requests made up from openapi.yaml: whatever comes, the answer is one that the file describes, and never a fault.

A generator in the manner of schemathesis, seeded: per operation ordinary requests with one thing wrong. Then the lists of
names and metacharacters that have broken others.
"""

import http.client
import json
import os
import random
import unittest
import urllib.parse

from attacks import FREE, Client, Gateway, Target

SEED = int(os.environ.get("REQUESTS_SEED", "1"))
ROUNDS = int(os.environ.get("REQUESTS_ROUNDS", "12"))

SQL = ["'", '"', "' OR '1'='1", "'; DROP TABLE account; --", "1; SELECT pg_sleep(5)", "%", "_", "\\", "%' ESCAPE '", "$1",
       "?", "||", "1e309", "-1", "0x1", "NULL", "\u2019", "x" * 70]
STRANGE = [*SQL, "", " ", "a" * 300, "a" * 5000, "\x00", "a\x00b", "a\nb", "a\r\nX-Evil: 1", "\x1b[2J", "\x7f", "\u0085",
           "\u202e", "\ufeff", "\ud7ff", "\uffff", "\U0010ffff", "e\u0301", "A\u030a" * 20, "..", "../..", "/etc/passwd",
           "${jndi:ldap://x}", "{{7*7}}", "<script>", "-0", "9" * 30, "true", "null", "[]", "{}"]
NUMBERS = [0, -1, 1, 2 ** 31, 2 ** 53 + 1, 2 ** 63 - 1, -(2 ** 63), 2 ** 64, 10 ** 30, 1.5, -1.5, 1e308]
OTHERS = [None, True, False, [], {}, [[]], {"a": {"b": [1]}}, "text"]
RAW_BODIES = [b"", b"{", b"}", b"[]", b"null", b'"x"', b"1", b"{}{}", b'{"a":1,"a":2}', b'{"login":"\\ud800"}', b"\xff\xfe{}",
              b"\xef\xbb\xbf{}", b"[" * 5000, b'{"a":' * 3000, b"\x00" * 100, b'{"a":NaN}', b'{"a":1e99999}', b"{'a':1}"]
BAD_IDS = ["x", "0" * 26, "..", "%2e%2e", "%00", "a%2fb", "a%5cb", "%c0%ae", "'", "%27%20OR%201=1--", "-1", "a" * 300, "%0a",
           "\u00e4", "%ff"]


class Asking:
    @classmethod
    def setUpClass(cls):
        cls.gw = Gateway(settings=FREE).start()
        cls.target = Target(cls.gw)
        cls.random = random.Random(SEED)

    @classmethod
    def tearDownClass(cls):
        cls.gw.__exit__(None, None, None)

    def check(self, operation, method, path, status, headers, body):
        self.assertLess(status, 500 if status != 507 else 600, f"{method} {path}: {body[:300]!r}")
        if status in (414, 431):  # of the connection, not of an operation
            return
        fault = self.target.api.response_fault(operation, status, headers["content-type"], body)
        self.assertIsNone(fault, f"{method} {path} -> {status}: {body[:300]!r}")

    def send(self, client, operation, method, path, body, headers=None):
        """One request on the client's connection; a closed one is opened again."""
        quoted = urllib.parse.quote(path, safe="/?=&%:+,;@!$'()*~[]")
        try:
            answer = client(method, quoted, body, headers)
        except (OSError, http.client.HTTPException):  # the end of a session ended its idle connections
            client.close()
            answer = client(method, quoted, body, headers)
        if (answer.headers["connection"] or "") == "close":
            client.close()
        self.check(operation, method, quoted, answer.status, answer.headers, answer.body)
        return answer

    def client(self, name):
        client = Client(self.gw)
        client.cookie = self.target.people[name].cookie
        return client

    def wrong_value(self, schema):
        schema = self.target.api.resolve(schema)
        kind = schema.get("type")
        pool = NUMBERS + OTHERS if kind in ("integer", "number") else STRANGE + OTHERS
        return self.random.choice(pool)

    def mutated(self, template, operation):
        """An ordinary request with one thing wrong."""
        path, body, headers = self.target.request_of(template, operation)
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        where = self.random.choice(["body", "body", "body", "query", "header", "raw"])
        if where == "body" and schema:
            properties = self.target.api.resolve(schema).get("properties", {})
            name = self.random.choice([*properties, "unknown"])
            body = {**body, name: self.wrong_value(properties.get(name, {}))}
            if self.random.random() < 0.2 and body:
                body.pop(self.random.choice(list(body)))
        elif where == "raw" and schema:
            headers["Content-Type"] = self.random.choice(["application/json", "application/json; charset=utf-16"])
            body = self.random.choice(RAW_BODIES)
        elif where == "query":
            names = [p["name"] for p in map(self.target.api.resolve, operation.get("parameters", []))
                     if p["in"] == "query"] or ["unknown"]
            value = urllib.parse.quote(str(self.random.choice(STRANGE + NUMBERS)).encode("utf-8", "surrogatepass"),
                                       safe="")
            path = path.partition("?")[0] + f"?{self.random.choice(names)}={value}"
        else:
            headers[self.random.choice(["If-Match", "Range", "If-None-Match", "X-Cloister-Cause", "Accept",
                                        "If-Range"])] = self.random.choice(
                ['"', '"x"', "*", 'W/"1"', '"99999999999999999999"', "bytes=9-1", "bytes=-", "bytes=0-0,2-3", "autosave",
                 "x" * 1000, "restore", '"-1"', '""', "bytes=5-"])
        return path, body, headers


class Generated(Asking, unittest.TestCase):
    # What would shut the generator itself out.
    LEFT_OUT = {"logout", "resetPassword", "changeUser", "removeMember"}

    def test_generated_requests_are_answered_as_described(self):
        clients = {name: self.client(name) for name in ("root", "prof", "ann", "eve")}
        sent, good = 0, 0
        for _ in range(ROUNDS):
            for method, template, operation in self.target.api.operations():
                if operation["operationId"] in self.LEFT_OUT:
                    continue
                who = self.random.choice(list(clients))
                path, body, headers = self.mutated(template, operation)
                answer = self.send(clients[who], operation, method, path, body, headers)
                if answer.status == 401 and operation["operationId"] not in ("login", "changePassword"):
                    self.assertEqual(clients[who].login(who, f"chosen {who}!").status, 200, "shut out")
                sent += 1
                good += answer.status < 400
        self.assertGreater(sent, 50 * ROUNDS)
        self.assertGreater(good, sent / 20, "nothing ever gets far")
        self.assertEqual(self.gw.metrics()["frontgw_http_undeclared_status_total"], 0)
        self.assertEqual([e for e in self.gw.log() if e["level"] == "error"], [])


class Lists(Asking, unittest.TestCase):

    def test_every_id_in_every_path_may_be_nonsense(self):
        root = self.client("root")
        for method, template, operation in self.target.api.operations():
            for name in self.target.ids:
                if "{" + name + "}" not in template or operation["operationId"] == "logout":
                    continue
                for bad in BAD_IDS:
                    path, body, headers = self.target.request_of(template.replace("{" + name + "}", "@@"), operation)
                    with self.subTest(f"{method} {template} {name}={bad}"):
                        answer = self.send(root, operation, method, path.replace("@@", bad), body, headers)
                        self.assertGreaterEqual(answer.status, 400)

    def test_metacharacters_change_no_statement(self):
        root = self.client("root")
        everybody = len(root("GET", "/users?limit=1000").json["items"])
        for word in STRANGE:
            try:
                quoted = urllib.parse.quote(word, safe="")
            except UnicodeEncodeError:
                continue
            login = Client(self.gw)("POST", "/login", {"login": word, "password": word})
            self.assertIn(login.status, (400, 401, 422, 429), word)
            listed = root("GET", f"/users?after={quoted}")
            self.assertIn(listed.status, (200, 400, 414, 422), word)
            listed = root("GET", f"/courses?after={quoted}&all={quoted}")
            self.assertIn(listed.status, (200, 400, 414, 422), word)
            root.close()
            made = root("POST", "/courses", {"code": word, "title": word, "term": word})
            self.assertIn(made.status, (201, 400, 409, 422), word)
            if made.status == 201:
                self.assertEqual(made.json["title"], word, "stored as it came")
                self.assertEqual(root("GET", f"/courses/{made.json['id']}").json["code"], word)
        self.assertEqual(len(root("GET", "/users?limit=1000").json["items"]), everybody)

    def test_names_of_files_are_names_and_nothing_else(self):
        ann, space = self.client("ann"), self.target.workspace
        bad = ["", ".", "..", "../x", "x/..", "x/../y", "/x", "x/", "x//y", "./x", "x/./y", "a\x00b", "a\nb", "a\rb", "a\x1bb",
               "\x7f", "\u0085", "a" * 256, "/".join("d" * 40), "x/" * 3000 + "y"]
        for name in bad:
            calls = {
                "create": ann("POST", f"/workspaces/{space}/files?path={urllib.parse.quote(name, safe='')}", b"x"),
                "directory": ann("POST", f"/workspaces/{space}/directories", {"path": name}),
                "move": ann("PATCH", f"/files/{self.target.file['id']}", {"path": name}),
                "copy": ann("POST", f"/files/{self.target.file['id']}/copy", {"workspace": space, "path": name}),
            }
            for what, answer in calls.items():
                with self.subTest(f"{what} {name[:40]!r}"):
                    self.assertIn(answer.status, (400, 404, 409, 414, 422), answer)
            if any((a.headers["connection"] or "") == "close" for a in calls.values()):
                ann.close()
        for spelling in ("%c0%ae%c0%ae/x", "%2e%2e%2fx", "%252e%252e/x", "..%2fx", "%ff", "%", "%zz", "x%00y"):
            answer = ann("POST", f"/workspaces/{space}/files?path={spelling}", b"x")
            with self.subTest(spelling):
                if answer.status == 201:  # a harmless name, taken literally
                    self.assertNotIn(answer.json["name"], (".", "..", ""))
                    self.assertNotIn("/", answer.json["name"])
                else:
                    self.assertIn(answer.status, (400, 409, 422))
            ann.close()
        odd = ["' OR 1=1 --", "a b", "-rf", "CON", "a'b\"c", "\u00e4\u00f6\u00fc.py", "\U0001f600.txt", "%2e", "~", "$(id)",
               "<b>.html", "a;b|c&d"]
        for name in odd:
            made = ann("POST", f"/workspaces/{space}/files?path={urllib.parse.quote(name, safe='')}", b"odd")
            with self.subTest(name):
                self.assertEqual(made.status, 201, made)
                self.assertEqual(made.json["name"], name)
                answer = ann("GET", f"/files/{made.json['id']}/content")
                self.assertEqual(answer.body, b"odd")
                disposition = answer.headers["content-disposition"]
                self.assertEqual(urllib.parse.unquote(disposition.split("UTF-8''")[1]), name)

    def test_bodies_that_are_too_large_or_lie_about_their_size(self):
        ann, space = self.client("ann"), self.target.workspace
        answer = ann("POST", "/login", {"login": "x", "password": "y" * 200000})
        self.assertEqual(answer.status, 413)
        ann.close()
        s = self.gw.socket(timeout=20)
        with s:
            s.sendall((f"PUT /api/v1/files/{self.target.file['id']}/content HTTP/1.1\r\nHost: x\r\nOrigin: "
                       f"http://x\r\nX-Cloister: 1\r\nIf-Match: \"2\"\r\nContent-Length: 999999999999\r\n"
                       f"Cookie: {ann.cookie}\r\n\r\n").encode())
            self.assertTrue(s.recv(4096).startswith(b"HTTP/1.1 413"))
        # nobody's large body is refused before it is taken
        s = self.gw.socket(timeout=20)
        with s:
            s.sendall((f"POST /api/v1/workspaces/{space}/archive HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\n"
                       f"X-Cloister: 1\r\nContent-Length: 100000000\r\nExpect: 100-continue\r\n\r\n").encode())
            first = s.recv(4096)
            self.assertTrue(first.startswith(b"HTTP/1.1 401"), first)
        # a body that stops in the middle changes nothing
        before = ann("GET", f"/files/{self.target.file['id']}").json["seq"]
        s = self.gw.socket()
        s.sendall((f"PUT /api/v1/files/{self.target.file['id']}/content HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\n"
                   f"X-Cloister: 1\r\nIf-Match: \"{before}\"\r\nContent-Length: 1000\r\nCookie: {ann.cookie}\r\n\r\n"
                   "half").encode())
        s.close()
        self.assertEqual(ann("GET", f"/files/{self.target.file['id']}").json["seq"], before)

    def test_expect_100_continue_is_kept(self):
        ann = self.client("ann")
        seq = ann("GET", f"/files/{self.target.file['id']}").json["seq"]
        with self.gw.socket(timeout=20) as s:
            s.sendall((f"PUT /api/v1/files/{self.target.file['id']}/content HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\n"
                       f"X-Cloister: 1\r\nIf-Match: \"{seq}\"\r\nContent-Length: 9\r\nExpect: 100-continue\r\n"
                       f"Connection: close\r\nCookie: {ann.cookie}\r\n\r\n").encode())
            self.assertEqual(s.recv(4096), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(b"print(42)")
            answer = b""
            while piece := s.recv(65536):
                answer += piece
            self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer[:300])
            self.assertEqual(json.loads(answer.partition(b"\r\n\r\n")[2])["size"], 9)


if __name__ == "__main__":
    unittest.main()
