"""Access across tenants on every route and verb, generated from openapi.yaml."""

import unittest

from attacks import FREE, Client, Gateway, Target, audit_length, problem

PUBLIC = {"health", "healthLive", "healthReady", "login"}
# What concerns only oneself, whoever one is: no id of somebody else is in it (or it is one's own that is looked for).
OWN = {"logout", "getMe", "changeMe", "changePassword", "listSessions", "listKeys", "createKey", "listCourses",
       "listWorkspaces", "joinCourse"}
# A class mate is in the course: these are open to every member.
MEMBER = {"getCourse", "listSections", "getSection", "submit", "listSubmissions", "listMembers"}


class Tenants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gw = Gateway(settings=FREE).start()
        cls.target = Target(cls.gw)

    @classmethod
    def tearDownClass(cls):
        cls.gw.__exit__(None, None, None)

    def every(self, client, skip):
        for method, template, operation in self.target.api.operations():
            if operation["operationId"] in skip:
                continue
            path, body, headers = self.target.request_of(template, operation)
            yield operation, client(method, path, body, headers)

    def test_nobody_gets_in_without_a_session_or_with_a_forged_one(self):
        before = audit_length(self.target)
        for cookie, key in ((None, None), ("cloister=" + "A" * 43, None), (None, "clk_" + "A" * 43), (None, "x")):
            client = Client(self.gw, key=key)
            client.cookie = cookie
            n = 0
            for operation, answer in self.every(client, PUBLIC):
                with self.subTest(operation["operationId"]):
                    self.assertEqual((answer.status, problem(answer.body)), (401, "unauthenticated"))
                n += 1
            self.assertGreater(n, 50)
        self.assertEqual(audit_length(self.target), before)

    def test_a_student_of_another_course_sees_and_changes_nothing(self):
        before = audit_length(self.target)
        for operation, answer in self.every(self.target.people["eve"], PUBLIC | OWN):
            self.assertIn(answer.status, (403, 404), (operation["operationId"], answer))
            self.assertNotIn(b"xyzzy", answer.body)
            self.assertNotIn(b"secret.py", answer.body)
        self.assertEqual(audit_length(self.target), before, "something was done")

    def test_a_professor_of_another_course_sees_and_changes_nothing(self):
        before = audit_length(self.target)
        for operation, answer in self.every(self.target.people["prof2"], PUBLIC | OWN):
            self.assertIn(answer.status, (403, 404), (operation["operationId"], answer))
        self.assertEqual(audit_length(self.target), before)

    def test_a_class_mate_sees_and_changes_nothing_of_ones_own(self):
        ben = self.target.people["ben"]
        for operation, answer in self.every(ben, PUBLIC | OWN | MEMBER):
            self.assertIn(answer.status, (403, 404), (operation["operationId"], answer))
            self.assertNotIn(b"xyzzy", answer.body)
        listed = ben("GET", f"/courses/{self.target.course}/sections/{self.target.section}/submissions")
        if listed.status == 200:
            self.assertFalse([s for s in listed.json["items"] if s["login"] == "ann"])
        members = ben("GET", f"/courses/{self.target.course}/members")
        self.assertIn(members.status, (200, 403))

    def test_strangers_learn_nothing_from_the_difference_between_missing_and_forbidden(self):
        """An id that exists and one that does not are refused alike, to those who may not even know."""
        eve = self.target.people["eve"]
        nothing = "0" * 26
        for method, template, operation in self.target.api.operations():
            if method != "GET" or "{" not in template or operation["operationId"] in PUBLIC | OWN:
                continue
            with self.subTest(template):
                real = eve(method, self.target.path(template))
                missing = eve(method, self.target.path(template, ids={name: nothing for name in self.target.ids}))
                self.assertEqual((real.status, problem(real.body)), (missing.status, problem(missing.body)))

    def test_api_keys_do_what_their_scopes_say_and_no_more(self):
        ann = self.target.people["ann"]
        made = ann("POST", "/me/keys", {"name": "reader", "scopes": ["read"]}).json
        reader = Client(self.gw, key=made["key"])
        self.assertEqual(reader("GET", "/me").status, 200)
        self.assertEqual(reader("GET", f"/files/{self.target.file['id']}/content").status, 200)
        before = audit_length(self.target)
        for method, template, operation in self.target.api.operations():
            if operation["operationId"] in PUBLIC or method == "GET":
                continue
            path, body, headers = self.target.request_of(template, operation)
            with self.subTest(f"{method} {template}"):
                answer = reader(method, path, body, headers)
                self.assertEqual((answer.status, problem(answer.body)), (403, "scope_missing"))
        self.assertEqual(audit_length(self.target), before)
        # a key beside somebody's cookie is the key's right, not the cookie's
        both = Client(self.gw, key=made["key"])
        both.cookie = self.target.people["root"].cookie
        self.assertEqual(both("GET", "/users").status, 403)
        self.assertEqual(ann("DELETE", f"/me/keys/{made['id']}").status, 204)
        self.assertEqual(reader("GET", "/me").status, 401)


if __name__ == "__main__":
    unittest.main()
