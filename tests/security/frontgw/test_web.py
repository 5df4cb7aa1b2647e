"""What a hostile page, a stolen or planted cookie, and stored files can do to somebody who is logged in: nothing."""

import io
import json
import time
import unittest
import zipfile

from attacks import FREE, Client, Gateway, Target, audit_length, command, problem


class Web(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gw = Gateway(settings=FREE).start()
        cls.target = Target(cls.gw)

    @classmethod
    def tearDownClass(cls):
        cls.gw.__exit__(None, None, None)

    # ---- requests that another site causes ----

    def test_no_operation_that_changes_something_can_be_caused_by_another_site(self):
        victim = self.target.people["root"]
        before = audit_length(self.target)
        tried = 0
        for method, template, operation in self.target.api.operations():
            if method == "GET":
                continue
            path, body, headers = self.target.request_of(template, operation)
            data = json.dumps(body).encode() if isinstance(body, dict) else body or b""
            base = {"Cookie": victim.cookie, **headers}
            forms = {
                "another origin": ({"Origin": "https://evil.example", "Content-Type": "application/json",
                                    "X-Cloister": "1"}, "cross_origin"),
                "an opaque origin": ({"Origin": "null", "Content-Type": "application/json"}, "cross_origin"),
                "no origin": ({"Origin": "", "Content-Type": "application/json"}, "cross_origin"),
                "fetch metadata": ({"Origin": self.gw.origin, "Sec-Fetch-Site": "cross-site", "X-Cloister": "1"},
                                   "cross_origin"),
                "a form": ({"Origin": self.gw.origin, "Content-Type": "text/plain"}, "forgery"),
                "a form, encoded": ({"Origin": self.gw.origin, "Content-Type": "application/x-www-form-urlencoded"},
                                    "forgery"),
                "a form, multipart": ({"Origin": self.gw.origin, "Content-Type": "multipart/form-data; boundary=x"},
                                      "forgery"),
            }
            for name, (extra, code) in forms.items():
                with self.subTest(f"{method} {template}: {name}"):
                    status, _, answer = self.gw.request(method, path, data, {**base, **extra})
                    self.assertEqual((status, problem(answer)), (403, code))
                    tried += 1
        self.assertGreater(tried, 200)
        self.assertEqual(audit_length(self.target), before, "something was done")

    def test_no_answer_lets_another_origin_read_it(self):
        for path in ("/api/v1/me", "/api/v1/courses", "/health", "/nothing"):
            status, headers, _ = self.gw.request("GET", path, headers={
                "Cookie": self.target.people["ann"].cookie, "Origin": "https://evil.example"})
            self.assertIsNone(headers["access-control-allow-origin"])
            self.assertIsNone(headers["access-control-allow-credentials"])
            self.assertEqual(headers["cross-origin-resource-policy"], "same-origin")
        status, headers, _ = self.gw.request("OPTIONS", "/api/v1/login", headers={
            "Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
        self.assertGreaterEqual(status, 400)
        self.assertIsNone(headers["access-control-allow-origin"])

    # ---- cookies ----

    def fresh(self, login):
        answer = self.target.people["root"]("POST", "/users", {"login": login, "name": login})
        client = Client(self.gw)
        first = client("POST", "/login", {"login": login, "password": answer.json["password"]})
        return client, first, answer.json["password"]

    def test_a_planted_session_is_never_taken_over(self):
        planted = "A" * 43
        made = self.target.people["root"]("POST", "/users", {"login": "fixated", "name": "F"}).json
        client = Client(self.gw)
        client.cookie = f"cloister={planted}"
        answer = client("POST", "/login", {"login": "fixated", "password": made["password"]})
        self.assertEqual(answer.status, 200)
        self.assertNotIn(planted, answer.headers["set-cookie"])
        thief = Client(self.gw)
        thief.cookie = f"cloister={planted}"
        self.assertEqual(thief("GET", "/me").status, 401)
        # the one that really was a session ends with the next login on top of it
        old = client.cookie
        again = client("POST", "/login", {"login": "fixated", "password": made["password"]})
        self.assertEqual(again.status, 200)
        self.assertNotEqual(client.cookie, old)
        thief.cookie = old
        self.assertEqual(thief("GET", "/me").status, 401)

    def test_a_new_password_ends_the_other_sessions_and_renews_this_one(self):
        client, _, password = self.fresh("renewed")
        other = Client(self.gw)
        other("POST", "/login", {"login": "renewed", "password": password})
        before = client.cookie
        self.assertEqual(client("POST", "/me/password", {"old": password, "new": "quite another one"}).status, 204)
        self.assertNotEqual(client.cookie, before)
        self.assertEqual(client("GET", "/me").status, 200)
        for cookie in (before, other.cookie):
            thief = Client(self.gw)
            thief.cookie = cookie
            self.assertEqual(thief("GET", "/me").status, 401)

    def test_the_cookie_has_its_attributes_and_two_of_a_name_are_none(self):
        _, answer, _ = self.fresh("cookies")
        cookie = answer.headers["set-cookie"]
        for attribute in ("; HttpOnly", "; SameSite=Lax", "; Path=/"):
            self.assertIn(attribute, cookie)
        self.assertNotIn("Domain", cookie)
        pair = cookie.split(";")[0]
        for header, status in ((pair, 200), (f"{pair}; {pair}", 401), (f"{pair}; cloister=x", 401),
                               (f"x=y; {pair}", 200), (pair.replace("cloister", "__Host-cloister"), 401),
                               (pair + "x", 401), (pair.upper(), 401)):
            with self.subTest(header.replace(pair, "PAIR")):
                self.assertEqual(self.gw.get("/api/v1/me", headers={"Cookie": header})[0], status)

    def test_over_tls_the_cookie_is_bound_to_the_host(self):
        with Gateway(tls=True, settings=FREE) as gw:
            target = Target(gw)
            cookie = target.people["ann"].cookie
            self.assertTrue(cookie.startswith("__Host-cloister="))
            plain = cookie.replace("__Host-", "")
            self.assertEqual(gw.get("/api/v1/me", headers={"Cookie": cookie})[0], 200)
            self.assertEqual(gw.get("/api/v1/me", headers={"Cookie": plain})[0], 401)

    def test_a_session_in_the_address_or_the_body_is_none(self):
        token = self.target.people["ann"].cookie.split("=", 1)[1]
        for path in (f"/api/v1/me?cloister={token}", f"/api/v1/me?session={token}"):
            self.assertIn(self.gw.get(path)[0], (400, 401))
        self.assertEqual(self.gw.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})[0], 401)
        self.assertEqual(self.gw.get("/api/v1/me", headers={"Authorization": f"Cookie {token}"})[0], 401)

    def test_a_revoked_session_loses_its_open_connections(self):
        client, _, password = self.fresh("revoked")
        self.assertEqual(client("POST", "/me/password", {"old": password, "new": "quite another one"}).status, 204)
        open_sockets = []
        for _ in range(6):  # on both loops, most likely
            s = self.gw.socket(timeout=5)
            s.sendall(f"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nCookie: {client.cookie}\r\n\r\n".encode())
            self.assertTrue(s.recv(65536).startswith(b"HTTP/1.1 200"))
            open_sockets.append(s)
        self.assertEqual(client("POST", "/logout").status, 204)
        for s in open_sockets:
            data = b"x"
            while data:  # the rest of the answer, then the end
                data = s.recv(65536)
            s.close()

    # ---- what people have stored ----

    ACTIVE = {
        "page.html": b"<script>fetch('/api/v1/me')</script>",
        "page.htm": b"<script>1</script>",
        "picture.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
        "page.xhtml": b'<html xmlns="http://www.w3.org/1999/xhtml"><script>1</script></html>',
        "code.js": b"alert(1)",
        "feed.xml": b'<?xml version="1.0"?><?xml-stylesheet href="x"?><x/>',
        "noext": b"<html><script>1</script>",
        "fake.png": b"<html><script>1</script>",
        "notes.txt": b"<html><script>1</script>",
        "doc.pdf": b"%PDF-1.4 <script>1</script>",
        "sheet.csv": b"=cmd|' /C calc'!A0",
    }

    def test_stored_pages_never_run_in_our_origin(self):
        ann, space = self.target.people["ann"], self.target.workspace
        for name, data in self.ACTIVE.items():
            with self.subTest(name):
                made = ann.create(space, name, data)
                self.assertEqual(made.status, 201, made)
                answer = ann("GET", f"/files/{made.json['id']}/content")
                self.assertEqual((answer.status, answer.body), (200, data))
                kind = answer.headers["content-type"].split(";")[0]
                disposition = answer.headers["content-disposition"]
                self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
                self.assertEqual(answer.headers["content-security-policy"], "sandbox; default-src 'none'")
                self.assertNotIn(kind, ("text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript",
                                        "application/javascript", "text/xml", "application/xml"))
                if disposition.startswith("inline"):
                    self.assertIn(kind, ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf",
                                         "text/plain"))
                self.assertIn(f"filename*=UTF-8''{name}", disposition)

    def test_nothing_on_disk_is_named_by_people(self):
        ann, space = self.target.people["ann"], self.target.workspace
        self.assertEqual(ann.create(space, "very-special-name.py", "x").status, 201)
        names = [p.name for p in self.gw.directory.rglob("*")]
        self.assertFalse([n for n in names if "special" in n or "secret.py" in n or "ann" == n])

    def test_archives_cannot_reach_out_of_the_workspace(self):
        ben, space = self.target.people["ben"], self.target.world.workspaces["ben"]
        for evil in ("../evil.py", "/etc/evil.py", "a/../../evil.py", "..\\evil.py", "a/./evil.py", "evil\x01.py"):
            with self.subTest(evil):
                packed = io.BytesIO()
                with zipfile.ZipFile(packed, "w") as z:
                    z.writestr("good.py", "print(1)")
                    z.writestr(evil, "print(2)")
                answer = ben("POST", f"/workspaces/{space}/archive", packed.getvalue())
                if answer.status < 300:  # taken as a harmless name within the workspace, or not at all
                    tree = ben("GET", f"/workspaces/{space}/tree").json["items"]
                    self.assertFalse([n for n in tree if n["name"] in ("..", ".", "") or "/" in n["name"]])
                else:
                    self.assertIn(answer.status, (400, 409, 413, 422))
        link = io.BytesIO()
        with zipfile.ZipFile(link, "w") as z:
            entry = zipfile.ZipInfo("link")
            entry.create_system, entry.external_attr = 3, 0o120777 << 16
            z.writestr(entry, "/etc/passwd")
        answer = ben("POST", f"/workspaces/{space}/archive", link.getvalue())
        self.assertLess(answer.status, 500)
        tree = ben("GET", f"/workspaces/{space}/tree").json["items"]
        for node in tree:
            if node["kind"] == "file":
                self.assertNotIn(b"root:", ben("GET", f"/files/{node['id']}/content").body)

    def test_configured_origins_are_the_only_ones(self):
        with Gateway(settings={**FREE, "listen.origins": "https://cloister.example"}) as gw:
            def post(origin, host):
                status, _, body = gw.request("POST", "/api/v1/login", {"login": "x", "password": "y"},
                                             {"Origin": origin, "Host": host})
                return status, problem(body)
            self.assertEqual(post("https://cloister.example", "cloister.example"), (401, "login_failed"))
            self.assertEqual(post("https://evil.example", "evil.example"), (403, "cross_origin"))
            self.assertEqual(post(gw.origin, f"127.0.0.1:{gw.port}"), (403, "cross_origin"))


class BruteForce(unittest.TestCase):
    def test_guessing_slows_down_per_account_and_stops_per_address(self):
        with Gateway() as gw:  # with the limits as shipped
            password = command(gw, "admin", "create", "root", "Root").stdout.strip()
            codes, delays = [], []
            started = time.monotonic()
            for i in range(8):
                status, headers, body = gw.request("POST", "/api/v1/login", {"login": "root", "password": f"no{i}"})
                codes.append(problem(body))
                if status == 429:
                    delays.append(json.loads(body)["retry_after_ms"])
                    self.assertGreaterEqual(int(headers["retry-after"]), 1)
            self.assertEqual(codes[:2], ["login_failed"] * 2)
            self.assertIn("login_delayed", codes)
            self.assertLess(time.monotonic() - started, 30, "a delay must not hold a worker")
            # the right password has to wait as well, but nobody is locked out for good
            status, _, body = gw.request("POST", "/api/v1/login", {"login": "root", "password": password})
            if status == 429:
                time.sleep(json.loads(body)["retry_after_ms"] / 1000 + 0.1)
                status, _, body = gw.request("POST", "/api/v1/login", {"login": "root", "password": password})
            self.assertEqual(status, 200, body)
            # other names from this address go on until the address has used its window
            outcomes = {}
            for i in range(230):
                _, _, body = gw.request("POST", "/api/v1/login", {"login": f"nobody{i}", "password": "x"})
                code = problem(body)
                outcomes[code] = outcomes.get(code, 0) + 1
                if code == "rate_limited":
                    break
            self.assertIn("rate_limited", outcomes)
            self.assertGreater(outcomes["login_failed"], 150)
            self.assertLess(outcomes["login_failed"], 200)


if __name__ == "__main__":
    unittest.main()
