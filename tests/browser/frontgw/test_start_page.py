"""The start page in a real browser, under the real policy, over TLS: log in, choose a password, join, log out."""

import os
import shutil
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2] / "integration/frontgw")]

from browser import Page  # noqa: E402
from clients import FREE, World  # noqa: E402
from gateway import BUILD, Gateway  # noqa: E402

VISIBLE = "document.getElementById('{}')?.hidden === false"


def fill(page, form, **values):
    for name, value in values.items():
        page.run(f"document.getElementById({name!r}).value = {value!r}")
    page.run(f"document.getElementById({form!r}).requestSubmit()")


class StartPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gw = Gateway(tls=True, settings=FREE, web=BUILD / "web").start()
        cls.world = World(cls.gw)

    @classmethod
    def tearDownClass(cls):
        cls.world.close()
        cls.gw.__exit__(None, None, None)

    def test_a_newcomer_gets_from_the_paper_slip_to_the_course(self):
        made = self.world.admin("POST", "/users", {"login": "nora", "name": "Nora <b>N</b>."}).json
        code = self.world.people["prof"]("POST", f"/courses/{self.world.course}/join-codes", {}).json["code"]
        with Page() as page:
            page.open(self.gw.origin + "/")
            page.wait(VISIBLE.format("login"))
            before = self.gw.metrics()
            self.assertFalse([k for k in before if 'route="getMe"' in k and 'code="401"' in k],
                             "the page asked before anybody logged in")
            fill(page, "login-form", name="nora", password="wrong")
            page.wait("document.getElementById('message').textContent.includes('wrong')")
            fill(page, "login-form", name="nora", password=made["password"])
            page.wait(VISIBLE.format("change"))
            fill(page, "change-form", old=made["password"], new="a word of my own")
            page.wait(VISIBLE.format("courses"))
            self.assertEqual(page.run("document.getElementById('who').textContent"), "Nora <b>N</b>.")
            fill(page, "join-form", code=code)
            page.wait("document.querySelectorAll('#course-list li').length === 1")
            self.assertIn("CS1", page.run("document.getElementById('course-list').innerText"))
            page.open(self.gw.origin + "/")  # still logged in after a reload
            page.wait("document.querySelectorAll('#course-list li').length === 1")
            self.assertEqual(page.run("document.cookie"), "", "a script can read the cookie")
            page.run("document.getElementById('logout').click()")
            page.wait(VISIBLE.format("login"))
            refused = [c for c in page.complaints if "401" not in c]
            self.assertEqual(refused, [])

    def test_the_policy_holds_in_the_browser(self):
        with Page() as page:
            page.open(self.gw.origin + "/")
            page.wait(VISIBLE.format("login"))
            self.assertEqual(page.complaints, [])
            self.assertTrue(page.run("crossOriginIsolated"))
            page.run("""{ const s = document.createElement('script'); s.textContent = 'window.evil = 1';
                        document.body.append(s);
                        document.body.insertAdjacentHTML('beforeend', '<img src="/nothing" onerror="window.evil = 2">');
                        const a = document.createElement('a'); a.href = 'javascript:window.evil = 3'; a.click(); }""")
            self.assertEqual(page.run("new Promise(r => setTimeout(() => r(String(window.evil)), 500))"), "undefined")
            self.assertTrue(any("Content Security Policy" in c or "ContentSecurityPolicy" in c for c in page.complaints))
            blocked = page.run("fetch('https://127.0.0.1:1/').then(() => 'sent', e => String(e))")
            self.assertNotEqual(blocked, "sent")
            self.assertTrue(any("connect" in c.lower() for c in page.complaints))

    def test_a_stored_page_opened_by_its_address_is_downloaded_not_shown(self):
        ann, space = self.world.people["ann"], self.world.workspaces["ann"]
        made = ann.create(space, "evil.html", "<title>evil</title><script>document.title = 'ran'</script>").json
        with Page() as page:
            page.open(self.gw.origin + "/")
            page.wait(VISIBLE.format("login"))
            page.run("""fetch('/api/v1/login', {method: 'POST', headers: {'Content-Type': 'application/json'},
                        body: JSON.stringify({login: 'ann', password: 'chosen ann!'})}).then(r => r.status)""")
            page.open(f"{self.gw.origin}/api/v1/files/{made['id']}/content")
            page.run("new Promise(r => setTimeout(r, 500))")
            self.assertEqual(page.run("document.title"), "Cloister")


if __name__ == "__main__":
    if not shutil.which("chromium"):
        print("chromium is not installed")
        sys.exit(1 if os.environ.get("TESTS_MUST_RUN") == "1" else 77)
    unittest.main()
