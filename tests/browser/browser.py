"""A real Chromium without a window, spoken to over the pipe of its DevTools protocol. Standard library only."""

import json
import os
import select
import shutil
import subprocess
import tempfile
import time


class Page:
    """with Page() as page: page.open(url); page.wait("document.querySelector('#x')")"""

    def __init__(self, timeout=30):
        self.timeout, self.last, self.buffer = timeout, 0, b""
        self.complaints = []  # console errors, exceptions, refused loads and policy violations

    def __enter__(self):
        self.profile = tempfile.mkdtemp(prefix=f"browser-{os.getpid()}-")
        read_end, self.out = os.pipe()
        self.incoming, write_end = os.pipe()

        def wire():
            os.dup2(read_end, 63), os.dup2(write_end, 64)  # out of the way of each other
            os.dup2(63, 3), os.dup2(64, 4)
            os.set_inheritable(3, True), os.set_inheritable(4, True)

        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--ignore-certificate-errors", "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=wire,
            start_new_session=True)
        os.close(read_end), os.close(write_end)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.call(f"{domain}.enable", self.session)
        return self

    def __exit__(self, *exc):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (OSError, AssertionError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.out), os.close(self.incoming)
        shutil.rmtree(self.profile, ignore_errors=True)

    def receive(self, deadline):
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.incoming], [], [], left)[0]:
                raise AssertionError("the browser does not answer")
            piece = os.read(self.incoming, 1 << 16)
            if not piece:
                raise AssertionError("the browser is gone")
            self.buffer += piece
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])
        elif method == "Audits.issueAdded" and "ContentSecurityPolicy" in params["issue"]["code"]:
            self.complaints.append(json.dumps(params["issue"]))

    def call(self, method, session=None, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + self.timeout
        while True:
            answer = self.receive(deadline)
            if answer.get("id") == self.last:
                assert "error" not in answer, answer
                return answer["result"]
            self.note(answer)

    def open(self, url):
        self.call("Page.navigate", self.session, url=url)

    def run(self, script):
        """The value of a JavaScript expression in the page; promises are awaited."""
        answer = self.call("Runtime.evaluate", self.session, expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script):
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            value = self.run(script)
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}; the page said {self.complaints}; "
                             f"it shows {self.run('document.body && document.body.innerText')!r}")
