"""What the attack tests share: a small world with something of everything in it, and ids for every path parameter."""

import re
import sys
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "integration" / "frontgw"))

from clients import FREE, Client, World, command  # noqa: E402,F401
from gateway import BUILD, SOURCE, Gateway, problem  # noqa: E402,F401
from openapi import Description  # noqa: E402,F401


class Target:
    """ann's and the first course's things; eve is of another course, ben a class mate."""

    def __init__(self, gw):
        self.gw, self.api = gw, Description()
        self.world = w = World(gw)
        self.people = w.people
        prof, ann = w.people["prof"], w.people["ann"]
        self.course, self.workspace = w.course, w.workspaces["ann"]
        self.section = self._made(prof("POST", f"/courses/{w.course}/sections",
                                       {"kind": "assignment", "title": "Week 1"}))["id"]
        self.file = self._made(ann.create(self.workspace, "secret.py", "password = 'xyzzy'\n"))
        ann.save(self.file["id"], "password = 'plugh'\n", self.file["seq"])
        self.submission = self._made(ann("POST", f"/courses/{w.course}/sections/{self.section}/submissions", {}))["id"]
        self.code = self._made(prof("POST", f"/courses/{w.course}/join-codes", {}))
        self.key = self._made(ann("POST", "/me/keys", {"name": "k", "scopes": ["read"]}))
        self.session = next(s["id"] for s in ann("GET", "/me/sessions").json["items"] if s["current"])
        self.ids = {"course": w.course, "user": w.ids["ann"], "section": self.section, "workspace": self.workspace,
                    "file": self.file["id"], "seq": "1", "submission": self.submission, "session": self.session,
                    "key": self.key["id"], "code": self.code["id"]}

    @staticmethod
    def _made(answer):
        assert answer.status in (200, 201), answer
        return answer.json

    def path(self, template, query=None, ids=None):
        ids = {**self.ids, **(ids or {})}
        path = re.sub(r"\{([^}]+)\}", lambda m: urllib.parse.quote(str(ids[m.group(1)]), safe=""), template)
        return path + ("?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote) if query else "")

    def sample(self, schema):
        """A value that the schema allows."""
        schema = self.api.resolve(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            return {name: self.sample(s) for name, s in schema.get("properties", {}).items()
                    if name in schema.get("required", [])}
        if kind == "array":
            return [self.sample(schema["items"])]
        if "pattern" in schema:
            return self.course
        return {"string": "sample", "integer": 5, "boolean": True, "number": 1.5}.get(kind)

    def request_of(self, template, operation):
        """(path, body, headers) of an ordinary request for an operation."""
        query = {p["name"]: self.sample(p["schema"]) for p in map(self.api.resolve, operation.get("parameters", []))
                 if p["in"] == "query" and p.get("required")}
        headers, body = {}, None
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            body = self.sample(content["application/json"]["schema"])
        elif content:
            body = b"login,name\r\nmallory,M\r\n"
            headers["Content-Type"] = next(iter(content))
        if any(p.get("name") == "If-Match" for p in map(self.api.resolve, operation.get("parameters", []))):
            headers["If-Match"] = '"2"'
        return self.path(template, query), body, headers


def audit_length(target):
    """The number of the newest entry of the audit log."""
    last = 0
    while True:
        items = target.people["root"]("GET", f"/audit?after={last}&limit=1000").json["items"]
        if not items:
            return last
        last = items[-1]["seq"]
