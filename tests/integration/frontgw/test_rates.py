"""Sliding windows over the real server, alone and with a real Redis that comes and goes."""

import json
import signal
import time
import unittest

from clients import FREE, World
from gateway import SLOW, Gateway, Redis


def ask(gw, n, **kw):
    """How many of n requests without a session were let through; and the last refusal."""
    passed, refusal = 0, None
    c = gw.connection()
    for _ in range(n):
        status, headers, body = gw.get("/nothing", connection=c, **kw)
        if status == 404:
            passed += 1
        else:
            assert status == 429, (status, body)
            refusal = (headers, json.loads(body))
    c.close()
    return passed, refusal


class Alone(unittest.TestCase):
    def test_exactly_the_limit_passes_and_the_refusal_says_when_to_come_back(self):
        with Gateway(settings={"rates.address": 20}) as gw:
            started = time.monotonic()
            passed, (headers, document) = ask(gw, 30)
            self.assertEqual(passed, 20)
            self.assertEqual(document["code"], "rate_limited")
            self.assertEqual(document["limit"], "address")
            self.assertEqual(document["per_window"], 20)
            self.assertEqual(document["window_s"], 60)
            left = 60 - (time.monotonic() - started)
            self.assertLessEqual(document["retry_after_ms"], 60000)
            self.assertGreaterEqual(document["retry_after_ms"], (left - 1) * 1000)
            self.assertIn(int(headers["retry-after"]), (document["retry_after_ms"] // 1000,
                                                        document["retry_after_ms"] // 1000 + 1))
            self.assertGreaterEqual(gw.metrics()['frontgw_ratelimit_rejected_total{limit="address"}'], 10)
            # somebody else is not touched
            self.assertEqual(gw.get("/nothing", source="127.0.0.2")[0], 404)

    def test_unknown_paths_methods_and_forged_cookies_count_too(self):
        with Gateway(settings={"rates.address": 6}) as gw:
            statuses = [gw.get("/nothing")[0], gw.request("DELETE", "/health", headers={"X-Cloister": "1"})[0],
                        gw.get("/nothing", headers={"Cookie": "cloister=forged"})[0],
                        gw.get("/nothing", headers={"Cookie": "cloister=other"})[0],
                        gw.get("/system-stats")[0], gw.get("/nothing", headers={"Authorization": "Bearer x"})[0]]
            self.assertEqual(statuses, [404, 405, 404, 404, 401, 404])
            self.assertEqual(gw.get("/nothing", headers={"Cookie": "cloister=third"})[0], 429)


class PerPerson(unittest.TestCase):
    """Each limit of people, tripped over HTTP; somebody else goes on."""

    def until_refused(self, call, at_most):
        for n in range(at_most + 1):
            answer = call(n)
            if answer.status == 429:
                self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
                return n, answer.json
        self.fail(f"{at_most + 1} requests were let through")

    def test_files_and_class_actions_have_limits_of_their_own(self):
        with Gateway(settings={**FREE, "rates.files": 7, "rates.class": 3}) as gw:
            world = World(gw)
            ann, ben, prof = (world.people[p] for p in ("ann", "ben", "prof"))
            n, refusal = self.until_refused(
                lambda i: ann.create(world.workspaces["ann"], f"{i}.py", "x"), 7)
            self.assertEqual((n, refusal["limit"], refusal["per_window"]), (7, "files", 7))
            self.assertEqual(ann("GET", "/me").status, 200, "not a file operation")
            self.assertEqual(ben.create(world.workspaces["ben"], "0.py", "x").status, 201)
            roster = b"login,name\r\nann,Ann\r\n"
            n, refusal = self.until_refused(
                lambda i: prof("POST", f"/courses/{world.course}/roster", roster, {"Content-Type": "text/csv"}), 3)
            self.assertEqual((n, refusal["limit"]), (2, "class"), "one was the making of the class")
            metrics = gw.metrics()
            self.assertEqual(metrics['frontgw_ratelimit_rejected_total{limit="files"}'], 1)
            self.assertEqual(metrics['frontgw_ratelimit_rejected_total{limit="class"}'], 1)
            world.close()

    def test_a_user_is_limited_whatever_the_connection_or_address(self):
        with Gateway(settings={**FREE, "rates.user": 40}) as gw:
            world = World(gw)
            ann, ben = world.people["ann"], world.people["ben"]

            def ask_me(i):
                if i % 7 == 0:
                    ann.close()
                return ann("GET", "/me")

            n, refusal = self.until_refused(ask_me, 40)
            self.assertEqual((refusal["limit"], refusal["per_window"]), ("user", 40))
            self.assertGreater(n, 30)
            status, _, _ = gw.get("/api/v1/me", headers={"Cookie": ann.cookie}, source="127.0.0.5")
            self.assertEqual(status, 429)
            self.assertEqual(ben("GET", "/me").status, 200)
            world.close()


class Shared(unittest.TestCase):
    def test_two_gateways_share_one_window(self):
        with Redis() as redis:
            settings = {"rates.address": 20, "rates.redis": f"127.0.0.1:{redis.port}", "rates.gateways": 2}
            with Gateway(settings=settings) as a, Gateway(settings=settings) as b:
                self.assertEqual(ask(a, 12)[0], 12)
                passed, (_, document) = ask(b, 12)
                self.assertEqual(passed, 8)
                self.assertGreater(document["retry_after_ms"], 50000)
                self.assertEqual(ask(a, 3)[0], 0)
                self.assertEqual(a.metrics()["frontgw_redis_up"], 1)

    def test_without_redis_each_gateway_goes_on_with_its_share(self):
        redis = Redis().start()
        settings = {"rates.address": 20, "rates.redis": f"127.0.0.1:{redis.port}", "rates.gateways": 2}
        try:
            with Gateway(settings=settings) as gw:
                self.assertEqual(ask(gw, 4)[0], 4)
                redis.kill()
                started = time.monotonic()
                passed, _ = ask(gw, 30)
                self.assertEqual(passed, 6, "4 were counted already, and the share is 10")
                self.assertLess(time.monotonic() - started, 5 * SLOW)
                self.assertEqual(gw.metrics()["frontgw_redis_up"], 0)
                # and back: the empty Redis allows what it knows nothing of, the local window still holds
                redis.start()
                deadline = time.monotonic() + 10 * SLOW
                while gw.metrics()["frontgw_redis_up"] == 0 and time.monotonic() < deadline:
                    gw.get("/nothing")
                    time.sleep(0.3)
                self.assertEqual(gw.metrics()["frontgw_redis_up"], 1)
                passed, (_, document) = ask(gw, 30)
                self.assertLessEqual(passed, 10)
                self.assertEqual(document["limit"], "address")
        finally:
            redis.kill()

    def test_a_redis_that_hangs_costs_its_deadline_three_times_and_then_nothing(self):
        with Redis() as redis:
            settings = {"rates.address": 1000, "rates.redis": f"127.0.0.1:{redis.port}"}
            with Gateway(settings=settings) as gw:
                self.assertEqual(ask(gw, 2)[0], 2)
                redis.signal(signal.SIGSTOP)
                try:
                    times = []
                    for _ in range(20):
                        started = time.monotonic()
                        self.assertEqual(gw.get("/nothing")[0], 404)
                        times.append(time.monotonic() - started)
                    self.assertLess(max(times), 0.4 * SLOW)
                    self.assertLess(sorted(times)[len(times) // 2], 0.025 * SLOW, times)
                    self.assertGreaterEqual(gw.metrics()["frontgw_redis_failures_total"], 3)
                finally:
                    redis.signal(signal.SIGCONT)
                deadline = time.monotonic() + 10 * SLOW
                while gw.metrics()["frontgw_redis_up"] == 0 and time.monotonic() < deadline:
                    gw.get("/nothing")
                    time.sleep(0.3)
                self.assertEqual(gw.metrics()["frontgw_redis_up"], 1)

    def test_a_redis_with_a_password_is_given_it_and_a_wrong_one_fails_closed(self):
        with Redis(password="sesame") as redis:
            gw = Gateway(settings={"rates.address": 6, "rates.gateways": 2, "rates.redis": f"127.0.0.1:{redis.port}"})
            file = gw.directory / "redis-password"
            gw.settings["rates.redis-password-file"] = file
            file.write_text("sesame\n")
            with gw:
                self.assertEqual(ask(gw, 9)[0], 6)
                self.assertEqual(gw.metrics()["frontgw_redis_up"], 1)
            gw = Gateway(settings={"rates.address": 6, "rates.gateways": 2, "rates.redis": f"127.0.0.1:{redis.port}"})
            gw.settings["rates.redis-password-file"] = gw.directory / "redis-password"
            (gw.directory / "redis-password").write_text("wrong\n")
            with gw:
                self.assertEqual(ask(gw, 9)[0], 3)
                self.assertEqual(gw.metrics()["frontgw_redis_up"], 0)

    def test_a_redis_that_was_never_there_is_no_reason_not_to_start(self):
        with Gateway(settings={"rates.address": 5, "rates.redis": "127.0.0.1:1"}) as gw:
            self.assertEqual(ask(gw, 8)[0], 5)


if __name__ == "__main__":
    unittest.main()
