"""People who use the real frontgw over HTTP: a client with its cookie, and a small course to work in."""

import json
import os
import subprocess
import unittest

from gateway import FRONTGW, Gateway
from postgres import Postgres

FREE = {f"rates.{name}": 10000 for name in ("user", "address", "files", "class")}


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Client:
    """One person (or API key), one kept connection."""

    def __init__(self, gw, key=None):
        self.gw, self.cookie, self.key = gw, None, key
        self.connection = None

    def __call__(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
        if self.key:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        headers.setdefault("X-Cloister", "1")
        path = path if path.startswith(("/api", "/health", "/system-stats")) else "/api/v1" + path
        if self.connection is None:
            self.connection = self.gw.connection(timeout=30)
        try:
            answer = Answer(*self.gw.request(method, path, body, headers, connection=self.connection))
        except (BrokenPipeError, ConnectionResetError):  # refused before the body was sent: the answer is there
            early = self.connection.getresponse()
            answer = Answer(early.status, early.headers, early.read())
            self.close()
        except Exception:
            self.close()
            raise
        set_cookie = answer.headers.get("Set-Cookie")
        if set_cookie:
            self.cookie = set_cookie.split(";")[0]
        if path == "/api/v1/logout":
            self.close()
        return answer

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def login(self, login, password):
        answer = self("POST", "/login", {"login": login, "password": password})
        if answer.status == 200 and answer.json["must_change_password"]:
            changed = self("POST", "/me/password", {"old": password, "new": f"chosen {login}!"})
            assert changed.status == 204, changed
        return answer

    def save(self, file, text, seq, cause="autosave", **query):
        words = "&".join(f"{k}={v}" for k, v in query.items())
        data = text.encode() if isinstance(text, str) else text
        return self("PUT", f"/files/{file}/content" + (f"?{words}" if words else ""), data,
                    {"If-Match": f'"{seq}"', "X-Cloister-Cause": cause})

    def create(self, workspace, path, data=b""):
        from urllib.parse import quote
        data = data.encode() if isinstance(data, str) else data
        return self("POST", f"/workspaces/{workspace}/files?path={quote(path, safe='')}", data)


def command(gw, *words):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FRONTGW_", "DATABASE_"))}
    env.update({k: str(v) for k, v in gw.env.items()})
    return subprocess.run([FRONTGW, *gw.arguments(), *words], env=env, capture_output=True, text=True, timeout=120)


class World:
    """An admin, a course with a professor, an assistant and students, and a second course with one student."""

    def __init__(self, gw, students=("ann", "ben")):
        self.gw = gw
        made = command(gw, "admin", "create", "root", "The Admin")
        assert made.returncode == 0, made.stderr
        self.admin = Client(gw)
        answer = self.admin.login("root", made.stdout.strip())
        assert answer.status == 200, answer
        self.people = {"root": self.admin}
        self.ids = {"root": answer.json["id"]}
        for login in ("prof", "prof2"):
            self.person(login)
        self.course = self.make_course("CS1", "prof")
        self.other = self.make_course("CS2", "prof2")
        self.person("assi")
        assert self.admin("PUT", f"/courses/{self.course}/members/{self.ids['assi']}",
                          {"role": "assistant"}).status == 204
        self.people["assi"].login("assi", "chosen assi!")
        self.roster(self.course, "prof", students)
        self.roster(self.other, "prof2", ("eve",))
        self.workspaces = {login: self.workspace_of(login) for login in (*students, "eve")}

    def person(self, login):
        made = self.admin("POST", "/users", {"login": login, "name": login.title()})
        assert made.status == 201, made
        self.ids[login] = made.json["id"]
        self.people[login] = Client(self.gw)
        answer = self.people[login].login(login, made.json["password"])
        assert answer.status == 200, answer

    def make_course(self, code, professor):
        made = self.admin("POST", "/courses", {"code": code, "title": f"Course {code}", "term": "2026",
                                               "professor": self.ids[professor]})
        assert made.status == 201, made
        return made.json["id"]

    def roster(self, course, by, logins):
        csv = "login,name\r\n" + "".join(f'{l},"{l.title()}, {l[0].upper()}."\r\n' for l in logins)
        made = self.people[by]("POST", f"/courses/{course}/roster", csv.encode(), {"Content-Type": "text/csv"})
        assert made.status == 200, made
        for one in made.json["items"]:
            self.ids[one["login"]] = one["id"]
            self.people[one["login"]] = Client(self.gw)
            assert self.people[one["login"]].login(one["login"], one["password"]).status == 200

    def workspace_of(self, login):
        answer = self.people[login]("GET", "/workspaces")
        assert answer.status == 200, answer
        items = answer.json["items"]
        return next(w["id"] for w in items if w["course"])


    def close(self):
        for client in self.people.values():
            client.close()


class OnBothDatabases:
    """Mixed into test cases: class X(OnSqlite, T) and class Y(OnPostgres, T)."""

    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.postgres = Postgres(fsync=False).start() if cls.database == "postgresql" else None
        env = {"DATABASE_URL": cls.postgres.url} if cls.postgres else {}
        try:
            cls.gw = Gateway(settings={**FREE, **cls.settings}, env=env).start()
            cls.set_up_world()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def set_up_world(cls):
        cls.world = World(cls.gw)

    @classmethod
    def tearDownClass(cls):
        try:
            if getattr(cls, "world", None):
                cls.world.close()
            if getattr(cls, "gw", None):
                cls.gw.__exit__(None, None, None)
        finally:
            if cls.postgres:
                cls.postgres.__exit__(None, None, None)


def both(namespace, base):
    """Two test cases from one: on SQLite and on PostgreSQL."""
    for database in ("sqlite", "postgresql"):
        name = f"{base.__name__}On{database.title()}"
        namespace[name] = type(name, (base, unittest.TestCase), {"database": database, "__module__": base.__module__})
