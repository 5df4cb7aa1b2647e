"""Execution.Interact: a say in what runs, with and without a terminal."""

import time

from common import SLOW, ServiceTest, contract, main

ECHO = "import sys\nfor line in sys.stdin:\n    print('got', line.strip(), flush=True)\nprint('end')\n"
ASK = "name = input('name? ')\nprint('hi', name)\n"
CATCH = ("import signal, time\n"
         "signal.signal(signal.SIGUSR1, lambda *a: print('usr1', flush=True))\n"
         "signal.signal(signal.SIGTERM, lambda *a: (print('term', flush=True), exit(9)))\n"
         "print('ready', flush=True)\nwhile True: time.sleep(0.05)\n")
SIZE = ("import os, signal, time\n"
        "show = lambda *a: print('size', *os.get_terminal_size()[::-1], flush=True)\n"
        "signal.signal(signal.SIGWINCH, show)\nshow()\nwhile True: time.sleep(0.05)\n")


class Pipes(ServiceTest):
    def start(self, code, **request):
        return self.client.interact(runtime="python3", files={"main.py": code}, **request)

    def test_input_is_passed_on_line_by_line_and_its_end_too(self):
        call = self.start(ECHO, stdin_data=b"first\n")
        call.expect("got first")
        for word in ("one", "two", "three"):
            call.type(word + "\n")
            call.expect("got " + word)
        call.say(close_stdin=True)
        run = call.end()
        self.assertVerdict(run, "EXITED", 0)
        self.assertTrue(run.stdout.endswith(b"end\n"))

    def test_half_close_is_the_end_of_input_and_of_nothing_else(self):
        call = self.start("import sys, time\nsys.stdin.read()\ntime.sleep(0.3)\nprint('after')\n")
        call.half_close()
        self.assertEqual(call.end().stdout, b"after\n")

    def test_much_input_for_a_slow_program_arrives_whole(self):
        call = self.start("import sys, time, hashlib\nh = hashlib.sha256()\nn = 0\ntime.sleep(0.5)\n"
                          "while True:\n    d = sys.stdin.buffer.read(100000)\n    if not d: break\n"
                          "    n += len(d); h.update(d); time.sleep(0.005)\nprint(n, h.hexdigest())\n")
        import hashlib
        block, total = bytes(range(256)) * 256, hashlib.sha256()
        for _ in range(64):
            call.type(block)
            total.update(block)
        call.say(close_stdin=True)
        self.assertEqual(call.end().stdout.decode(), f"{64 * len(block)} {total.hexdigest()}\n")

    def test_signals_reach_the_program(self):
        call = self.start(CATCH)
        call.expect("ready")
        call.say(signal="SIGUSR1")
        call.expect("usr1")
        call.say(signal="SIGTERM")
        run = call.end()
        self.assertVerdict(run, "EXITED", 9)
        self.assertIn(b"term", run.stdout)

    def test_cancel_ends_it_and_the_result_comes(self):
        call = self.start(CATCH)
        call.expect("ready")
        call.say(cancel=True)
        run = call.end()
        self.assertEqual((run.verdict, run.code), ("CANCELLED", "OK"))

    def test_input_to_a_program_that_does_not_read_harms_nobody(self):
        call = self.start("import os, time\nos.close(0)\ntime.sleep(0.3)\nprint('done')\n")
        for _ in range(20):
            call.type(b"x" * 65536)
        self.assertEqual(call.end().stdout, b"done\n")

    def test_what_does_not_belong_is_refused_by_name(self):
        big = contract.InteractRequest(stdin_data=b"x" * 65537)
        for field, message in [("signal.name", contract.InteractRequest(signal=contract.Signal(name="SIGSEGV"))),
                               ("signal.name", contract.InteractRequest(signal=contract.Signal(name="9"))),
                               ("stdin_data", big), ("action", contract.InteractRequest()),
                               ("action", contract.InteractRequest(start=self.client.request(argv=["/bin/true"])))]:
            with self.subTest(field=field):
                call = self.start(ECHO)
                call.out.put(message)
                run = call.end()
                self.assertEqual((run.code, run.details.get("field")), ("INVALID_ARGUMENT", field))
        call = self.start(ECHO)
        call.say(resize=(10, 10))
        self.assertEqual(call.end().code, "FAILED_PRECONDITION")
        for first in (contract.InteractRequest(stdin_data=b"x"), contract.InteractRequest()):
            self.assertEqual(self.client.interact(first=first).end().details.get("field"), "action")
        run = self.start("", limits={"cpu_ms": 1 << 40}).end()
        self.assertEqual(run.details.get("field"), "start.limits.cpu_ms")


class Terminal(ServiceTest):
    settings = {"execsvc": {"running_max": 1}}

    def start(self, code, size=(24, 80), **request):
        return self.client.interact(runtime="python3", files={"main.py": code}, terminal=size, **request)

    def test_a_program_asks_and_is_answered(self):
        call = self.start(ASK)
        call.expect("name? ")
        call.type("Ada\r")
        run = call.end()
        self.assertVerdict(run, "EXITED", 0)
        self.assertEqual(run.stdout, b"name? Ada\r\nhi Ada\r\n")
        self.assertEqual(run.stderr, b"")

    def test_waiting_for_a_person_does_not_count_against_wall(self):
        call = self.start(ASK, limits={"wall_ms": 1000})
        call.expect("name? ")
        time.sleep(2.5)
        call.type("late\r")
        self.assertVerdict(call.end(), "EXITED", 0)

    def test_but_running_does(self):
        call = self.start("while True: pass", limits={"wall_ms": 700})
        self.assertEqual(call.end().verdict, "WALL_TIME_LIMIT")

    def test_it_is_a_terminal_with_a_size_that_changes(self):
        call = self.start(SIZE, size=(33, 101))
        call.expect("size 33 101")
        call.say(resize=(44, 120))
        call.expect("size 44 120")
        call.say(cancel=True)
        self.assertEqual(call.end().verdict, "CANCELLED")

    def test_control_c_is_sigint_for_the_foreground(self):
        call = self.start("import time\ntry:\n    print('ready', flush=True)\n"
                          "    while True: time.sleep(0.05)\n" # not one long sleep: it may begin just after the signal
                          "except KeyboardInterrupt:\n    print('caught')\n    raise SystemExit(5)\n")
        call.expect("ready")
        call.type("\x03")
        run = call.end()
        self.assertVerdict(run, "EXITED", 5)
        self.assertIn(b"caught", run.stdout)

    def test_close_stdin_is_the_end_of_file_character(self):
        call = self.start("import sys\nprint('go', flush=True)\nprint(repr(sys.stdin.read()))\n")
        call.expect("go")
        call.type("text\r")
        call.say(close_stdin=True)
        self.assertIn(b"'text\\n'", call.end().stdout)

    def test_a_shell_can_be_lived_in(self):
        call = self.client.interact(argv=["/bin/bash", "--norc"], env={"PS1": "> "}, terminal=(24, 80))
        call.expect("> ")
        call.type("echo $((6 * 7)) $TERM; tty\r")
        call.expect("42 xterm-256color")
        call.expect("/dev/pts/")
        call.type("exit 4\r")
        self.assertVerdict(call.end(), "EXITED", 4)

    def test_much_output_is_not_cut_at_a_terminal(self):
        call = self.start("print('x' * 3000000)")
        run = call.end()
        self.assertEqual((run.verdict, run.stdout.count(b"x"), run.result.dropped_stdout_bytes), ("EXITED", 3000000, 0))

    def test_nothing_happens_warning_then_end(self):
        call = self.start(ASK, limits={"idle_ms": 4000})
        call.expect("name? ")
        begun = time.monotonic()
        call.wait(lambda run: run.notices)
        self.assertEqual(call.run.notices[0].kind, 1)
        run = call.end()
        self.assertEqual(run.verdict, "IDLE_LIMIT")
        self.assertGreater(time.monotonic() - begun, 3.5)

    def test_to_be_looked_at_is_not_activity(self):
        run = self.start("import time\nwhile True: time.sleep(60)\n", limits={"idle_ms": 3000}).end()
        self.assertEqual((run.verdict, [notice.kind for notice in run.notices]), ("IDLE_LIMIT", [1]))

    def test_a_key_in_time_puts_the_end_off(self):
        call = self.start(ASK, limits={"idle_ms": 3000})
        call.expect("name? ")
        for _ in range(3):
            call.wait(lambda run: True)
            time.sleep(1.5)
            call.type("a")
        call.type("\r")
        self.assertVerdict(call.end(), "EXITED", 0)

    def test_a_program_that_computes_silently_is_not_idle(self):
        call = self.start("import time\nend = time.time() + 5\nwhile time.time() < end: pass\nprint('computed')\n",
                          limits={"idle_ms": 2000})
        self.assertIn(b"computed", call.end().stdout)

    def test_who_waits_for_a_person_does_not_keep_others_waiting(self):
        call = self.start(ASK)  # running_max is 1
        call.expect("name? ")
        begun = time.monotonic()
        run = self.client.run(argv=["/bin/echo", "other"])
        self.assertEqual(run.stdout, b"other\n")
        self.assertLess(time.monotonic() - begun, 5 * SLOW)
        call.type("Eve\r")
        self.assertVerdict(call.end(), "EXITED", 0)


if __name__ == "__main__":
    main()
