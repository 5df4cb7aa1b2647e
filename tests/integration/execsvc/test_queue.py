"""Admission: permits, the queue and its places, fairness between tenants, what is refused and how."""

import collections
import threading
import time

import grpc
from common import SLOW, ServiceTest, contract, main, wait_for

NAP = ["/bin/sleep", "0.2"]


def together(jobs):
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Queue(ServiceTest):
    settings = {"execsvc": {"running_max": 2, "queue_per_tenant": 100}}
    text = '[identity "uid:0"]\nact_for = t\n'

    def occupy(self, n=2):
        """Runs that hold all permits until they are ended."""
        calls = [self.client.interact(argv=["/bin/cat"]) for _ in range(n)]
        for call in calls:
            call.wait(lambda run: run.started)
        return calls

    def release(self, calls):
        for call in calls:
            call.say(close_stdin=True)
            self.assertVerdict(call.end(), "EXITED", 0)

    def test_fifty_at_once_are_all_answered_in_order_two_at_a_time(self):
        runs = [None] * 50
        most = 0

        def job(i):
            runs[i] = self.client.run(argv=NAP)

        def watch():
            nonlocal most
            for stats in self.client.channel.unary_stream(
                    "/cloister.exec.v1.Node/Watch", request_serializer=lambda m: m.SerializeToString(),
                    response_deserializer=contract.NodeStats.FromString)(contract.WatchRequest(interval_ms=200)):
                most = max(most, stats.running)
                if all(runs):
                    return
        watcher = threading.Thread(target=watch)
        watcher.start()
        begun = time.monotonic()
        together([lambda i=i: job(i) for i in range(50)])
        took = time.monotonic() - begun
        watcher.join(10)
        for run in runs:
            self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(most, 2)
        self.assertGreater(took, 50 * 0.2 / 2)
        waited = [run for run in runs if run.queued]
        self.assertGreaterEqual(len(waited), 40)
        for run in waited:
            positions = [q.position for q in run.queued]
            self.assertEqual(positions, sorted(positions, reverse=True))
            self.assertEqual(run.events[:len(positions)], ["queued"] * len(positions))
            self.assertGreater(run.result.timing.queued_us, 0)
        self.assertGreater(max(run.queued[0].position for run in waited), 30)
        self.assertTrue(any(q.expected_wait_ms > 0 for run in waited for q in run.queued))
        self.assertGreater(max(len(run.queued) for run in waited), 2)

    def test_a_flood_does_not_keep_another_tenant_waiting(self):
        done = []

        def job(client, name):
            client.run(argv=NAP)
            done.append(name)
        flood, other = self.service.client(subject="t/flood"), self.service.client(subject="t/other")
        threads = [threading.Thread(target=job, args=(flood, "flood")) for _ in range(40)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(done) >= 4, what="the flood's beginning")
        begun = time.monotonic()
        job(other, "other")
        self.assertLess(time.monotonic() - begun, 1.5 * SLOW)
        self.assertLess(done.index("other"), 14)
        for thread in threads:
            thread.join()
        self.assertEqual(collections.Counter(done), {"flood": 40, "other": 1})
        flood.close()
        other.close()

    def test_interactive_goes_before_batch(self):
        order, holders = [], self.occupy()

        def job(name, number):
            self.client.run(argv=NAP, class_=number)
            order.append(name)
        threads = []
        for name, number in [("batch", 2)] * 3 + [("interactive", 1)] * 3:
            thread = threading.Thread(target=job, args=(name, number))
            thread.start()
            threads.append(thread)
            time.sleep(0.1)
        self.release(holders)
        for thread in threads:
            thread.join()
        self.assertEqual(set(order[:2]), {"interactive"})
        self.assertEqual(order[-1], "batch")

    def test_who_leaves_the_queue_frees_his_place(self):
        holders = self.occupy()
        leaver = self.client.interact(argv=["/bin/true"])
        stayer = self.client.interact(argv=["/bin/true"])
        leaver.wait(lambda run: run.queued)
        stayer.wait(lambda run: run.queued and run.queued[-1].position == 2)
        leaver.drop()
        stayer.wait(lambda run: run.queued[-1].position == 1)
        self.release(holders)
        self.assertVerdict(stayer.end(), "EXITED", 0)

    def test_cancel_in_the_queue_has_a_result(self):
        holders = self.occupy()
        call = self.client.interact(argv=["/bin/true"])
        call.wait(lambda run: run.queued)
        call.say(cancel=True)
        run = call.end()
        self.assertEqual((run.verdict, run.code, run.exit_code), ("CANCELLED", "OK", None))
        self.release(holders)

    def test_a_deadline_holds_in_the_queue_and_while_running(self):
        holders = self.occupy()
        run = self.client.run(argv=NAP, timeout=0.5)
        self.assertEqual((run.code, run.started), ("DEADLINE_EXCEEDED", None))
        self.release(holders)
        run = self.client.run(argv=["/bin/sleep", "30"], timeout=0.5)
        self.assertEqual(run.code, "DEADLINE_EXCEEDED")
        wait_for(lambda: not self.service.sandbox_processes(), what="the end of what was running")

    def test_input_that_comes_while_it_waits_is_kept(self):
        holders = self.occupy()
        call = self.client.interact(argv=["/bin/cat"], stdin_data=b"first ")
        call.wait(lambda run: run.queued)
        call.type("second")
        call.say(close_stdin=True)
        time.sleep(0.2)
        self.release(holders)
        self.assertEqual(call.end().stdout, b"first second")


class Shared(ServiceTest):
    """What one tenant, or one class, may hold of the node while others are there."""

    settings = {"execsvc": {"running_max": 4, "queue_per_tenant": 100, "memory_budget": "1G", "running_per_tenant": 0}}
    text = '[identity "uid:0"]\nact_for = *\n'

    def setUp(self):
        super().setUp()
        self.ann, self.ben, self.cy = (self.service.client(subject=name) for name in ("ann", "ben", "cy"))
        self.holders = []

    def tearDown(self):
        for call in self.holders:
            call.drop()
        for client in (self.ann, self.ben, self.cy):
            client.close()
        wait_for(lambda: not self.service.sandbox_processes(), what="the end of the holders")
        super().tearDown()

    def hold(self, client, running, queued=0, **request):
        """Runs that do not end by themselves."""
        calls = [client.interact(argv=["/bin/cat"], **request) for _ in range(running + queued)]
        self.holders += calls
        wait_for(lambda: sum(call.run.started is not None for call in calls) == running, what=f"{running} starts")
        wait_for(lambda: sum(bool(call.run.queued) for call in calls) >= queued, what=f"{queued} queued")
        return calls

    def test_a_flood_of_long_runs_leaves_permits_to_others(self):
        self.assertVerdict(self.ben.run(argv=["/bin/true"]), "EXITED", 0)
        flood = self.hold(self.ann, 2, 8)  # half of the permits
        for _ in range(5):
            run = self.ben.run(argv=["/bin/true"])
            self.assertEqual((run.exit_code, run.queued), (0, []), run)
        self.assertEqual(sum(call.run.started is not None for call in flood), 2)

    def test_batch_leaves_a_permit_to_interactive_runs(self):
        batch = self.hold(self.ann, 2, 1, class_=2) + self.hold(self.ben, 1, 1, class_=2)
        run = self.cy.run(argv=["/bin/true"])
        self.assertEqual((run.exit_code, run.queued), (0, []), run)
        self.assertEqual(sum(call.run.started is not None for call in batch), 3)

    def test_batch_is_served_while_interactive_runs_never_end(self):
        self.hold(self.cy, 2)  # two permits are left, and four who want them all the time
        stop = threading.Event()

        def keep_busy(client):
            while not stop.is_set():
                self.assertEqual(client.run(argv=["/bin/sleep", "0.05"]).exit_code, 0)
        threads = [threading.Thread(target=keep_busy, args=(client,)) for client in (self.ann, self.ben) * 3]
        for thread in threads:
            thread.start()
        try:
            run = self.client.run(argv=["/bin/true"], class_=2)
            self.assertVerdict(run, "EXITED", 0)
            self.assertFalse(stop.is_set())
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def test_the_memory_budget_holds(self):
        self.hold(self.ann, 1, limits={"memory_bytes": 600 << 20})
        big = self.ben.interact(argv=["/bin/cat"], limits={"memory_bytes": 600 << 20})
        self.holders.append(big)
        big.wait(lambda run: run.queued)
        self.assertEqual(big.run.queued[0].position, 1)
        self.holders[0].say(close_stdin=True)
        self.assertEqual(self.holders[0].end().exit_code, 0)
        big.wait(lambda run: run.started)


class Slots(ServiceTest):
    settings = {"execsvc": {"running_max": 4, "slots_per_tenant": 2, "queue_per_tenant": 100}}
    text = '[identity "uid:0"]\nact_for = *\n'

    def test_nobody_has_all_sandboxes_even_when_alone(self):
        holders = [self.client.interact(argv=["/bin/cat"]) for _ in range(2)]
        for call in holders:
            call.wait(lambda run: run.started)
        third, other = self.client.interact(argv=["/bin/true"]), self.service.client(subject="other")
        third.wait(lambda run: run.queued)
        self.assertVerdict(other.run(argv=["/bin/true"]), "EXITED", 0)
        self.assertIsNone(third.run.started)
        holders[0].say(close_stdin=True)
        self.assertVerdict(third.end(), "EXITED", 0)
        holders[1].say(close_stdin=True)
        for call in holders:
            self.assertVerdict(call.end(), "EXITED", 0)
        other.close()


class Full(ServiceTest):
    settings = {"execsvc": {"running_max": 1, "queue_max": 2, "queue_per_tenant": 1}}
    text = '[identity "uid:0"]\nact_for = *\n'

    def test_a_full_queue_says_when_to_come_back_and_takes_in_first_runs(self):
        holder = self.client.interact(argv=["/bin/cat"])
        holder.wait(lambda run: run.started)
        waiting = self.client.interact(argv=["/bin/true"])
        waiting.wait(lambda run: run.queued)
        run = self.client.run(argv=["/bin/true"])
        self.assertEqual((run.code, run.details["reason"]), ("RESOURCE_EXHAUSTED", "TENANT_QUEUE_FULL"))
        self.assertGreaterEqual(run.details["retry_ms"], 100)
        second = self.service.client(subject="second")
        first_of_second = second.interact(argv=["/bin/true"])
        first_of_second.wait(lambda run: run.queued)
        third = self.service.client(subject="third")
        calls = [third.interact(argv=["/bin/true"])]
        calls[0].wait(lambda run: run.queued)  # the queue is full, and yet: a first run
        run = third.run(argv=["/bin/true"])
        self.assertEqual(run.code, "RESOURCE_EXHAUSTED")
        self.assertIn("queue_position", run.details["meta"])
        holder.say(close_stdin=True)
        for call in (holder, waiting, first_of_second, *calls):
            self.assertVerdict(call.end(), "EXITED", 0)
        second.close()
        third.close()


class Subjects(ServiceTest):
    text = '[identity "uid:0"]\nact_for = school/\n'

    def test_a_subject_counts_only_within_what_the_identity_may_act_for(self):
        for subject, code in [("school/ada", "OK"), ("other/ada", "PERMISSION_DENIED"),
                              ("a b", "INVALID_ARGUMENT"), ("x" * 200, "INVALID_ARGUMENT")]:
            with self.subTest(subject=subject):
                client = self.service.client(subject=subject)
                try:
                    self.assertEqual(client.run(argv=["/bin/true"]).code, code)
                    if code == "OK":
                        info = client.unary("Node/Info", contract.NodeInfoRequest(), contract.NodeInfo)
                        self.assertEqual(info.tenant, "uid:0/school/ada")
                except grpc.RpcError as error:
                    self.fail(error)
                finally:
                    client.close()


if __name__ == "__main__":
    main()
