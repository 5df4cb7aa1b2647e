"""Files of the page: entity tags, compressed forms, caching; and what is not a file of the page."""

import gzip
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from gateway import BUILD, SOURCE, Gateway


class Static(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.web = tempfile.TemporaryDirectory(prefix="frontgw-web-")
        root = Path(cls.web.name)
        subprocess.run(["/usr/bin/python3", "-B", SOURCE / "frontgw/web/build.py", SOURCE / "frontgw/web/static", root],
                       check=True)
        (root / "assets" / "big.0123456789.wasm").write_bytes(bytes(range(256)) * 20000)
        (root / "secret").symlink_to("/etc/passwd")
        cls.gw = Gateway(tls=True, web=root, settings={"rates.address": 3}).start()
        page = (root / "index.html").read_text()
        cls.script = re.search(r'src="(/assets/app\.[0-9a-f]{10}\.js)"', page).group(1)

    @classmethod
    def tearDownClass(cls):
        cls.gw.__exit__(None, None, None)
        cls.web.cleanup()

    def test_the_page_is_asked_for_again_and_its_parts_are_kept(self):
        status, headers, body = self.gw.get("/")
        self.assertEqual(status, 200)
        self.assertEqual(headers["content-type"], "text/html; charset=utf-8")
        self.assertEqual(headers["cache-control"], "no-cache")
        self.assertIn(b"<title>Cloister</title>", body)
        self.assertEqual(self.gw.get("/index.html")[2], body)
        status, headers, body = self.gw.get(self.script)
        self.assertEqual(status, 200)
        self.assertEqual(headers["content-type"], "text/javascript; charset=utf-8")
        self.assertEqual(headers["cache-control"], "public, max-age=31536000, immutable")
        self.assertEqual(body, (SOURCE / "frontgw/web/static/app.js").read_bytes())

    def test_compressed_forms_are_chosen_by_what_the_client_takes(self):
        plain = self.gw.get(self.script)[2]
        _, headers, body = self.gw.get(self.script, headers={"Accept-Encoding": "gzip, deflate"})
        self.assertEqual(headers["content-encoding"], "gzip")
        self.assertEqual(headers["vary"], "accept-encoding")
        self.assertEqual(gzip.decompress(body), plain)
        _, headers, body = self.gw.get(self.script, headers={"Accept-Encoding": "gzip;q=0.5, br;q=1"})
        self.assertEqual(headers["content-encoding"], "br")
        self.assertEqual(subprocess.run(["brotli", "-dc"], input=body, capture_output=True, check=True).stdout, plain)
        for nothing in ("identity", "br;q=0, gzip;q=0.000", "brotli", "gzipx", ""):
            _, headers, body = self.gw.get(self.script, headers={"Accept-Encoding": nothing})
            self.assertIsNone(headers["content-encoding"], nothing)
            self.assertEqual(body, plain)

    def test_entity_tags_differ_by_form_and_spare_the_body(self):
        tags = set()
        for encoding in ("identity", "gzip", "br"):
            _, headers, _ = self.gw.get(self.script, headers={"Accept-Encoding": encoding})
            tag = headers["etag"]
            tags.add(tag)
            for match in (tag, f'"x", {tag}', f"W/{tag}", "*"):
                status, headers, body = self.gw.get(self.script, headers={
                    "Accept-Encoding": encoding, "If-None-Match": match})
                self.assertEqual((status, body), (304, b""), match)
                self.assertEqual(headers["etag"], tag)
                self.assertIsNone(headers["content-length"])
            status, _, _ = self.gw.get(self.script, headers={"Accept-Encoding": encoding, "If-None-Match": '"other"'})
            self.assertEqual(status, 200)
        self.assertEqual(len(tags), 3)

    def test_large_files_arrive_whole(self):
        status, headers, body = self.gw.get("/assets/big.0123456789.wasm")
        self.assertEqual((status, headers["content-type"]), (200, "application/wasm"))
        self.assertEqual(body, bytes(range(256)) * 20000)
        status, headers, body = self.gw.request("HEAD", "/assets/big.0123456789.wasm")
        self.assertEqual((status, headers["content-length"], body), (200, str(256 * 20000), b""))

    def test_only_what_was_loaded_is_there(self):
        for path in ("/secret", "/assets/../index.html", "/app.js", "/assets/", "/assets", self.script + ".br",
                     self.script + "/", self.script.upper(), "/index.htm"):
            with self.subTest(path):
                self.assertIn(self.gw.get(path)[0], (400, 404, 429))

    def test_files_are_exempt_from_the_limits(self):
        for _ in range(50):
            self.assertEqual(self.gw.get("/")[0], 200)

    def test_nothing_in_the_page_needs_an_exception_from_the_policy(self):
        _, headers, body = self.gw.get("/")
        self.assertIn("script-src 'self' 'wasm-unsafe-eval';", headers["content-security-policy"])
        self.assertNotRegex(body.decode(), r"(?i)<script(?![^>]*\bsrc=)|\bon\w+=|\bstyle=|javascript:")

    def test_the_build_made_the_page(self):
        self.assertTrue((BUILD / "web" / "index.html").exists())
        self.assertTrue(list((BUILD / "web" / "assets").glob("app.*.js.gz")))


if __name__ == "__main__":
    unittest.main()
