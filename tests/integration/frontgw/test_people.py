"""Accounts, sessions, courses, keys and the audit log, over HTTP, on both databases."""

import json
import unittest

from clients import Client, OnBothDatabases, World, both, command
from gateway import problem


class People(OnBothDatabases):
    def person(self, login):
        return self.world.people[login]

    def refused(self, answer, status, code=None):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        if code:
            self.assertEqual(answer.json["code"], code)

    def test_a_login_gives_a_cookie_that_scripts_and_other_sites_do_not_get(self):
        me = Client(self.gw)
        answer = me("POST", "/login", {"login": "ann", "password": "chosen ann!"})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json["login"], "ann")
        for word in ("HttpOnly", "SameSite=Lax", "Path=/"):
            self.assertIn(word, answer.headers["Set-Cookie"])
        self.assertNotIn(b"argon2", answer.body)
        self.assertEqual(me("POST", "/logout").status, 204)
        old = Client(self.gw)
        old.cookie = answer.headers["Set-Cookie"].split(";")[0]
        self.refused(old("GET", "/me"), 401)

    def test_a_session_that_came_along_is_ended_by_a_login(self):
        first = Client(self.gw)
        first.login("ben", "chosen ben!")
        fixed = first.cookie
        self.assertEqual(first("POST", "/login", {"login": "ben", "password": "chosen ben!"}).status, 200)
        self.assertNotEqual(first.cookie, fixed)
        thief = Client(self.gw)
        thief.cookie = fixed
        self.refused(thief("GET", "/me"), 401)

    def test_unknown_and_wrong_are_told_alike_and_delayed_more_and_more(self):
        someone = Client(self.gw)
        known = someone("POST", "/login", {"login": "prof2", "password": "wrong"})
        unknown = someone("POST", "/login", {"login": "nobody", "password": "wrong"})
        self.refused(known, 401, "login_failed")
        self.assertEqual(known.json["detail"], unknown.json["detail"])
        statuses = [someone("POST", "/login", {"login": "prof2", "password": f"wrong {i}"}).status for i in range(6)]
        self.assertEqual(statuses[:2], [401, 401])
        self.assertEqual(set(statuses[2:]), {429})
        late = someone("POST", "/login", {"login": "prof2", "password": "chosen prof2!"})
        self.refused(late, 429, "login_delayed")
        self.assertGreaterEqual(int(late.headers["Retry-After"]), 1)

    def test_a_one_time_password_opens_nothing_but_its_own_change(self):
        made = self.person("root")("POST", "/users", {"login": "fresh", "name": "Fresh"}).json
        fresh = Client(self.gw)
        self.assertEqual(fresh("POST", "/login", {"login": "fresh", "password": made["password"]}).status, 200)
        self.refused(fresh("GET", "/courses"), 403, "password_change_required")
        self.refused(fresh("POST", "/me/password", {"old": made["password"], "new": "short"}), 422)
        self.refused(fresh("POST", "/me/password", {"old": "not it", "new": "long enough"}), 401)
        self.assertEqual(fresh("POST", "/me/password", {"old": made["password"], "new": "long enough"}).status, 204)
        self.assertEqual(fresh("GET", "/courses").status, 200)

    def test_staff_reset_passwords_of_those_whose_accounts_they_made_only(self):
        ben = self.world.ids["ben"]
        self.refused(self.person("ann")("POST", f"/users/{ben}/password-reset"), 404)
        self.refused(self.person("prof2")("POST", f"/users/{ben}/password-reset"), 404)
        # Enrolling somebody gives no power over his account.
        self.assertEqual(self.person("prof2")("PUT", f"/courses/{self.world.other}/members/{ben}",
                                              {"role": "student"}).status, 204)
        self.refused(self.person("prof2")("POST", f"/users/{ben}/password-reset"), 404)
        self.refused(self.person("assi")("POST", f"/users/{self.world.ids['prof']}/password-reset"), 404)
        reset = self.person("assi")("POST", f"/users/{ben}/password-reset")
        self.assertEqual(reset.status, 200, reset)
        self.person("ben").close()
        self.refused(self.person("ben")("GET", "/me"), 401)
        again = Client(self.gw)
        self.assertTrue(again.login("ben", reset.json["password"]).json["must_change_password"])
        self.world.people["ben"] = again

    def test_roles_cannot_be_climbed(self):
        course, ids = self.world.course, self.world.ids
        for who, whom, role, status in (("ann", "ann", "professor", 403), ("assi", "ann", "assistant", 403),
                                        ("assi", "assi", "professor", 403), ("prof", "ann", "professor", 403),
                                        ("prof", "prof", "student", 403), ("prof2", "ann", "student", 404)):
            answer = self.person(who)("PUT", f"/courses/{course}/members/{ids[whom]}", {"role": role})
            self.assertEqual(answer.status, status, f"{who} makes {whom} {role}: {answer}")
        self.refused(self.person("ann")("PATCH", f"/users/{ids['ann']}", {"admin": True}), 403)
        self.refused(self.person("root")("PATCH", f"/users/{ids['root']}", {"admin": False}), 403)
        self.refused(self.person("ann")("PUT", f"/courses/{course}/members/{ids['ann']}", {"role": "admin"}), 422)

    def test_join_codes_admit_students_until_they_are_used_up_or_revoked(self):
        root, prof = self.person("root"), self.person("prof")
        login = f"joiner-{self.database}"
        made = root("POST", "/users", {"login": login, "name": "J"}).json
        joiner = Client(self.gw)
        joiner.login(login, made["password"])
        code = prof("POST", f"/courses/{self.world.course}/join-codes", {"uses": 1})
        self.assertEqual(code.status, 201, code)
        joined = joiner("POST", "/join", {"code": code.json["code"]})
        self.assertEqual((joined.status, joined.json["role"]), (200, "student"), joined)
        self.refused(joiner("POST", "/join", {"code": code.json["code"]}), 404)
        second = prof("POST", f"/courses/{self.world.course}/join-codes", {"uses": 5}).json
        self.assertEqual(prof("DELETE", f"/courses/{self.world.course}/join-codes/{second['id']}").status, 204)
        self.refused(joiner("POST", "/join", {"code": second["code"]}), 404)
        self.refused(self.person("ann")("POST", f"/courses/{self.world.course}/join-codes", {"uses": 1}), 403)

    def test_rosters_are_all_or_nothing(self):
        prof = self.person("prof")
        url = f"/courses/{self.world.course}/roster"
        for bad in (b"login,name\nzoe,Zoe\nzoe,Zoe again\n", b"zoe\n", b'zoe,"Zoe\n', b"zoe,Z\nBad Login,X\n",
                    b"zoe,\xff\xfe\n", b""):
            self.assertEqual(prof("POST", url, bad, {"Content-Type": "text/csv"}).status, 422, bad)
        members = prof("GET", f"/courses/{self.world.course}/members").json["items"]
        self.assertNotIn("zoe", [m["login"] for m in members])
        again = prof("POST", url, b"ann,Another Name\n", {"Content-Type": "text/csv"})
        self.assertEqual([(i["created"], i["password"]) for i in again.json["items"]], [(False, None)])
        self.assertEqual(self.person("ann")("GET", "/me").json["name"], "Ann, A.")

    def test_api_keys_are_shown_once_and_hold_to_their_scopes(self):
        ann = self.person("ann")
        made = ann("POST", "/me/keys", {"name": "laptop", "scopes": ["read"]})
        self.assertEqual(made.status, 201, made)
        key = Client(self.gw, key=made.json["key"])
        self.assertEqual(key("GET", "/me").json["login"], "ann")
        self.refused(key("POST", f"/workspaces/{self.world.workspaces['ann']}/directories", {"path": "x"}), 403,
                     "scope_missing")
        self.refused(key("POST", "/me/keys", {"name": "more", "scopes": ["read"]}), 403)
        listed = ann("GET", "/me/keys")
        self.assertNotIn(made.json["key"].encode(), listed.body)
        self.refused(ann("POST", "/me/keys", {"name": "up", "scopes": ["admin"]}), 403)
        self.refused(ann("POST", "/me/keys", {"name": "x", "scopes": ["everything"]}), 422)
        self.assertEqual(ann("DELETE", f"/me/keys/{made.json['id']}").status, 204)
        self.refused(key("GET", "/me"), 401)
        self.refused(self.person("ben")("DELETE", f"/me/keys/{made.json['id']}"), 404)

    def test_sessions_are_listed_and_revoked(self):
        one, two = Client(self.gw), Client(self.gw)
        one.login("eve", "chosen eve!")
        two.login("eve", "chosen eve!")
        self.assertEqual(two("GET", "/me").status, 200)
        listed = one("GET", "/me/sessions").json["items"]
        others = [s["id"] for s in listed if not s["current"]]
        self.assertEqual(len(listed) - len(others), 1)
        self.refused(self.person("ann")("DELETE", f"/me/sessions/{others[0]}"), 404)
        for session in others:
            self.assertEqual(one("DELETE", f"/me/sessions/{session}").status, 204)
        self.assertEqual(two.connection.sock.recv(1), b"")  # what it held open is closed, unasked
        two.close()
        self.refused(two("GET", "/me"), 401)
        self.person("eve").close()
        self.world.people["eve"] = one

    def test_a_disabled_account_is_out_at_once(self):
        made = self.person("root")("POST", "/users", {"login": f"gone-{self.database}", "name": "G"}).json
        gone = Client(self.gw)
        gone.login(f"gone-{self.database}", made["password"])
        key = gone("POST", "/me/keys", {"name": "k", "scopes": ["read"]}).json["key"]
        self.assertEqual(self.person("root")("PATCH", f"/users/{made['id']}", {"state": "disabled"}).status, 200)
        gone.close()
        self.refused(gone("GET", "/me"), 401)
        self.refused(Client(self.gw, key=key)("GET", "/me"), 401)
        self.refused(Client(self.gw)("POST", "/login", {"login": f"gone-{self.database}",
                                                        "password": f"chosen gone-{self.database}!"}), 401)

    def test_sections_show_themselves_when_it_is_time(self):
        prof, ann, course = self.person("prof"), self.person("ann"), self.world.course
        hidden = prof("POST", f"/courses/{course}/sections",
                      {"kind": "test", "title": "Final", "visible_from_ms": 4000000000000})
        self.assertEqual(hidden.status, 201, hidden)
        url = f"/courses/{course}/sections/{hidden.json['id']}"
        self.refused(ann("GET", url), 404)
        self.assertNotIn(hidden.json["id"].encode(), ann("GET", f"/courses/{course}/sections").body)
        self.refused(ann("GET", f"/workspaces/{hidden.json['workspace']}/tree"), 404)
        self.refused(ann("PATCH", url, {"visible_from_ms": 0}), 403)
        self.assertEqual(prof("PATCH", url, {"visible_from_ms": 0}).status, 200)
        self.assertEqual(ann("GET", url).json["title"], "Final")
        self.refused(prof("GET", f"/courses/{self.world.other}/sections"), 404)
        self.refused(self.person("prof2")("DELETE", f"/courses/{self.world.other}/sections/{hidden.json['id']}"), 404)

    def test_the_audit_log_is_a_whole_chain_without_secrets(self):
        self.refused(self.person("prof")("GET", "/audit"), 403)
        entries = self.person("root")("GET", "/audit?limit=1000").json["items"]
        self.assertEqual([e["seq"] for e in entries], list(range(1, len(entries) + 1)))
        self.assertTrue({"account_create", "course_create", "enrol", "roster_import", "login"}
                        <= {e["action"] for e in entries})
        exported = self.person("root")("GET", "/audit/export")
        lines = [json.loads(line) for line in exported.body.splitlines()]
        self.assertGreaterEqual(len(lines), len(entries))
        self.assertNotIn(b"chosen", exported.body)
        checked = command(self.gw, "audit", "verify")
        self.assertEqual(checked.returncode, 0, checked.stderr)
        again = command(self.gw, "audit", "verify", checked.stdout.strip())
        self.assertEqual(again.returncode, 0, again.stderr)
        forged = command(self.gw, "audit", "verify", "1:" + "0" * 64)
        self.assertEqual(forged.returncode, 1)


both(globals(), People)
if __name__ == "__main__":
    unittest.main()
