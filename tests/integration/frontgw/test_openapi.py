"""openapi.yaml against the route table, both ways, and against answers of the running server."""

import json
import re
import subprocess
import unittest

from clients import FREE, World
from gateway import FRONTGW, Gateway
from openapi import Description

BODY_KINDS = {"none": None, "json": True, "json-optional": False, "bytes": True, "file": True}
ENVELOPE = {405, 408, 414, 431, 501, 505}  # of the connection, not of an operation


class Table(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        printed = subprocess.run([FRONTGW, "--print-routes"], capture_output=True, check=True, timeout=60)
        cls.routes = {(r["method"], r["path"]): r for r in json.loads(printed.stdout)}
        cls.api = Description()
        cls.described = {(m, p): o for m, p, o in cls.api.operations()}

    def test_every_route_is_described_and_every_description_is_a_route(self):
        self.assertEqual(sorted(self.routes), sorted(self.described))

    def each(self):
        for key, route in self.routes.items():
            with self.subTest(" ".join(key)):
                yield route, self.described[key]

    def test_names_are_the_same_and_unique(self):
        names = [o["operationId"] for o in self.described.values()]
        self.assertEqual(len(names), len(set(names)))
        for route, operation in self.each():
            self.assertEqual(route["operation"], operation["operationId"])
            self.assertTrue(operation["summary"])

    def test_parameters_are_the_same(self):
        for route, operation in self.each():
            parameters = [self.api.resolve(p) for p in operation.get("parameters", [])]
            in_path = [p["name"] for p in parameters if p["in"] == "path"]
            in_query = [p["name"] for p in parameters if p["in"] == "query"]
            self.assertEqual(sorted(route["path_parameters"]), sorted(in_path))
            self.assertEqual(sorted(route["query_parameters"]), sorted(in_query))
            self.assertTrue(all(p.get("required") for p in parameters if p["in"] == "path"))

    def test_statuses_are_the_same(self):
        for route, operation in self.each():
            self.assertEqual(route["statuses"], sorted(int(s) for s in operation["responses"]))
            self.assertFalse(ENVELOPE & set(route["statuses"]))

    def test_bodies_and_rights_are_the_same(self):
        for route, operation in self.each():
            required = BODY_KINDS[route["body"]]
            body = operation.get("requestBody")
            self.assertEqual(required is None, body is None)
            if body:
                self.assertEqual(body.get("required", False), required)
                self.assertEqual("application/json" in body["content"], route["body"].startswith("json"))
            security = [name for option in operation["security"] for name in option] if "security" in operation else None
            expected = [] if route["auth"] in ("none", "maybe") else ["session"] + ["apiKey"] * route["api_keys"]
            self.assertEqual(security, expected)

    def test_every_refusal_is_a_problem_document(self):
        for route, operation in self.each():
            for status, response in operation["responses"].items():
                if int(status) >= 400 and (operation["operationId"], status) != ("health", "503"):
                    self.assertEqual(list(self.api.resolve(response)["content"]), ["application/problem+json"])

    def test_references_lead_somewhere_and_nothing_is_left_over(self):
        used = set()

        def walk(node):
            if isinstance(node, dict):
                if "$ref" in node:
                    used.add(node["$ref"])
                    self.api.resolve(node)
                for value in node.values():
                    walk(value)
            elif isinstance(node, list):
                for value in node:
                    walk(value)

        walk(self.api.document)
        for kind in ("schemas", "responses", "parameters"):
            for name in self.api.document["components"][kind]:
                self.assertIn(f"#/components/{kind}/{name}", used)


class Answers(unittest.TestCase):
    """A course's life over HTTP; every answer on the way is held against its description."""

    @classmethod
    def setUpClass(cls):
        cls.api = Description()
        cls.gw = Gateway(settings=FREE)
        cls.seen = set()
        plain = cls.gw.request

        def checked(method, path, body=None, headers=None, **kw):
            status, answer_headers, answer = plain(method, path, body, headers, **kw)
            operation = cls.api.find(method, path.partition("?")[0])
            assert operation, f"{method} {path} is not described"
            fault = cls.api.response_fault(operation, status, answer_headers["content-type"], answer)
            assert fault is None, f"{method} {path}: {fault}\n{answer[:500]}"
            cls.seen.add((operation["operationId"], status))
            return status, answer_headers, answer

        cls.gw.request = checked
        cls.gw.start()
        cls.world = World(cls.gw)

    @classmethod
    def tearDownClass(cls):
        cls.gw.__exit__(None, None, None)

    def ok(self, answer, *statuses):
        self.assertIn(answer.status, statuses or (200, 201, 204), answer)
        return answer.json if answer.headers["content-type"] == "application/json" else None

    def test_a_course_from_its_beginning_to_its_grades(self):
        w = self.world
        admin, prof, ann, assi = (w.people[p] for p in ("root", "prof", "ann", "assi"))
        course, space = w.course, w.workspaces["ann"]
        ok = self.ok

        for path in ("/health", "/health/live", "/health/ready"):
            self.gw.get(path)
        self.gw.request("GET", "/system-stats", headers={"Cookie": admin.cookie})
        ok(ann("GET", "/me"))
        ok(ann("PATCH", "/me", {"name": "Ann A."}))
        self.assertEqual(ann("PATCH", "/me", {"nick": "x"}).status, 422)
        ok(ann("GET", "/me/sessions"))
        self.assertEqual(ann("DELETE", "/me/sessions/nobody").status, 404)
        key = ok(ann("POST", "/me/keys", {"name": "laptop", "scopes": ["read"]}))
        ok(ann("GET", "/me/keys"))
        ok(ann("DELETE", f"/me/keys/{key['id']}"))
        ok(admin("GET", "/users?limit=2"))
        self.assertEqual(admin("GET", "/users?limit=x").status, 422)
        ok(admin("GET", f"/users/{w.ids['ann']}"))
        ok(admin("PATCH", f"/users/{w.ids['ann']}", {"files_max": 100}))
        ok(prof("POST", f"/users/{w.ids['ben']}/password-reset"))
        self.assertEqual(ann("GET", "/users").status, 403)

        ok(admin("GET", "/courses?all=true"))
        ok(prof("GET", f"/courses/{course}"))
        ok(prof("PATCH", f"/courses/{course}", {"title": "New title"}))
        ok(prof("GET", f"/courses/{course}/members"))
        code = ok(prof("POST", f"/courses/{course}/join-codes", {"uses": 2}))
        ok(prof("GET", f"/courses/{course}/join-codes"))
        ok(w.people["eve"]("POST", "/join", {"code": code["code"]}))
        ok(prof("DELETE", f"/courses/{course}/join-codes/{code['id']}"))
        ok(prof("DELETE", f"/courses/{course}/members/{w.ids['eve']}"))
        section = ok(prof("POST", f"/courses/{course}/sections", {"kind": "assignment", "title": "Week 1"}))["id"]
        ok(ann("GET", f"/courses/{course}/sections"))
        ok(ann("GET", f"/courses/{course}/sections/{section}"))
        ok(prof("PATCH", f"/courses/{course}/sections/{section}", {"title": "Week one", "pos": 3}))

        ok(ann("GET", "/workspaces"))
        ok(prof("GET", f"/courses/{course}/workspaces"))
        ok(ann("GET", f"/workspaces/{space}"))
        ok(ann("POST", f"/workspaces/{space}/directories", {"path": "src"}))
        node = ok(ann.create(space, "src/a.py", "print(1)\n"))
        file = node["id"]
        self.assertEqual(ann.create(space, "src/a.py", "x").status, 409)
        saved = ok(ann.save(file, "print(2)\n", node["seq"]))
        conflict = ann.save(file, "print(3)\n", node["seq"])
        self.assertEqual(conflict.status, 412)
        self.assertEqual(ann("PUT", f"/files/{file}/content", b"x").status, 428)
        ok(ann("GET", f"/files/{file}"))
        ok(ann("GET", f"/files/{file}/content"))
        self.assertEqual(ann("GET", f"/files/{file}/content", headers={"Range": "bytes=0-3"}).status, 206)
        self.assertEqual(ann("GET", f"/files/{file}/content", headers={"Range": "bytes=999-"}).status, 416)
        self.assertEqual(ann("GET", f"/files/{file}/content", headers={
            "If-None-Match": f'"{saved["seq"]}"'}).status, 304)
        ok(ann("GET", f"/files/{file}/versions"))
        ok(ann("POST", f"/files/{file}/versions/{node['seq']}/restore"))
        ok(ann("GET", f"/files/{file}/executions"))
        ok(ann("PATCH", f"/files/{file}", {"path": "src/b.py"}))
        copy = ok(ann("POST", f"/files/{file}/copy", {"workspace": space, "path": "copy.py"}))
        ok(ann("DELETE", f"/files/{copy['id']}"))
        ok(ann("GET", f"/workspaces/{space}/trash"))
        ok(ann("POST", f"/files/{copy['id']}/undelete"))
        ok(ann("GET", f"/workspaces/{space}/tree"))
        archive = ann("GET", f"/workspaces/{space}/archive")
        self.assertEqual(archive.status, 200)
        ok(ann("POST", f"/workspaces/{space}/archive?directory=again", archive.body))
        ok(ann("POST", f"/workspaces/{space}/restore", {"at_ms": saved["modified_ms"]}))
        submission = ok(ann("POST", f"/courses/{course}/sections/{section}/submissions", {}))["id"]
        ok(prof("GET", f"/courses/{course}/sections/{section}/submissions"))
        ok(ann("GET", f"/submissions/{submission}"))
        ok(assi("GET", f"/submissions/{submission}/archive"))
        ok(prof("PATCH", f"/submissions/{submission}", {"grade": "A", "feedback": "Well done.\nGo on."}))
        ok(admin("GET", "/audit?limit=5"))
        ok(admin("GET", "/audit/export"))
        other = ok(prof("POST", f"/courses/{course}/sections", {"kind": "notes", "title": "Empty"}))["id"]
        ok(prof("DELETE", f"/courses/{course}/sections/{other}"))
        ok(ann("POST", "/logout"))
        self.assertEqual(ann("GET", "/me").status, 401)

        successes = {name for name, status in self.seen if status < 300}
        missing = {o["operationId"] for _, _, o in self.api.operations()} - successes
        missing -= {"revokeSession"}
        self.assertEqual(missing, set(), "operations without a success in this test")
        self.assertEqual(self.gw.metrics()["frontgw_http_undeclared_status_total"], 0)


if __name__ == "__main__":
    unittest.main()
