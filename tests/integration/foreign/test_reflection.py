"""python's grpcio through reflection: finds the contract, runs a program with it; health by readiness."""

import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import grpc
from google.protobuf import descriptor_pb2

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from reflected import Reflected, Reflection  # noqa: E402
from service import SLOW, SOURCE, Service, contract, need_root, wait_for  # noqa: E402

EXEC = "cloister.exec.v1."
SERVICES = [EXEC + "Blobs", EXEC + "Execution", EXEC + "Node", "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
NOT_FOUND, INVALID_ARGUMENT = 5, 3


class ReflectionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().__enter__()
        cls.target = f"unix:{cls.service.socket}"

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None, None, None)

    def each_version(self):
        for version in ("v1", "v1alpha"):
            channel = grpc.insecure_channel(self.target)
            self.addCleanup(channel.close)
            reflection = Reflection(channel, version)
            yield reflection
            reflection.close()

    def test_a_stranger_runs_a_program(self):
        for version in ("v1", "v1alpha"):
            client = Reflected(self.target, version)
            self.addCleanup(client.close)
            self.assertEqual(sorted(client.services), SERVICES)
            events = client.call(EXEC + "Execution/Execute", {
                "runtime": "python3", "files": [{"path": b"a.py", "content": b"print(6 * 7); open('f', 'w').write('x')"}],
                "limits": {"memory_bytes": 64 << 20}, "collect": {}})
            kinds = [event.WhichOneof("event") for event in events]
            self.assertEqual((kinds[0], kinds[-1]), ("started", "result"))
            self.assertEqual(b"".join(event.output.data for event in events), b"42\n")
            self.assertEqual([(event.file.path, event.file.data) for event in events if event.HasField("file")], [(b"f", b"x")])
            verdict = events[-1].result.DESCRIPTOR.fields_by_name["verdict"].enum_type
            self.assertEqual(verdict.values_by_number[events[-1].result.verdict].name, "VERDICT_EXITED")
            talk = client.call(EXEC + "Execution/Interact", [
                {"start": {"argv": [b"cat"]}}, {"stdin_data": b"line\n"}, {"close_stdin": {}}])
            self.assertEqual(b"".join(event.output.data for event in talk), b"line\n")
            runtimes = client.call(EXEC + "Node/Runtimes")[0].runtimes
            self.assertIn("python3", [runtime.name for runtime in runtimes])

    def test_what_is_described_is_the_contract(self):
        with tempfile.NamedTemporaryFile() as file:
            subprocess.run(["protoc", "-I", SOURCE / "proto", f"--descriptor_set_out={file.name}",
                            SOURCE / "proto/cloister/exec/v1/exec.proto"], check=True)
            compiled = descriptor_pb2.FileDescriptorSet.FromString(Path(file.name).read_bytes()).file[0]
        for reflection in self.each_version():
            for symbol in (EXEC + "Execution", EXEC + "Execution.Execute", EXEC + "Policy.Subprocess",
                           EXEC + "Policy.SUBPROCESS_DENY", EXEC + "Limits.memory_bytes", EXEC + "ExecuteEvent.event",
                           EXEC + "VERDICT_EXITED"):
                found = reflection.files(file_containing_symbol=symbol)
                self.assertEqual([file.name for file in found], ["cloister/exec/v1/exec.proto"], symbol)
                self.assertEqual(found[0], compiled)

    def test_what_is_not_there_is_an_answer_and_the_stream_goes_on(self):
        for reflection in self.each_version():
            for question in ({"file_by_filename": "no.proto"}, {"file_containing_symbol": "no.Such"},
                             {"file_containing_symbol": EXEC}, {"file_containing_symbol": EXEC + "Execution.Nothing"},
                             {"file_containing_symbol": EXEC + "Verdict.VERDICT_EXITED"},
                             {"file_containing_symbol": ""}, {"all_extension_numbers_of_type": EXEC + "Result"},
                             {"file_containing_extension": {"containing_type": EXEC + "Result", "extension_number": 9}}):
                answer = reflection.ask(**question)
                self.assertEqual(answer.error_response.error_code, NOT_FOUND, question)
                self.assertTrue(answer.error_response.error_message)
                self.assertEqual(answer.original_request, reflection.request(host="anything", **question))
            self.assertEqual(reflection.ask().error_response.error_code, INVALID_ARGUMENT)
            self.assertEqual(sorted(reflection.services()), SERVICES)

    def test_dependencies_come_once_a_stream(self):
        for reflection in self.each_version():
            names = [file.name for file in reflection.files(file_containing_symbol="google.rpc.RetryInfo")]
            self.assertEqual(names, ["google/rpc/error_details.proto", "google/protobuf/duration.proto"])
            names = [file.name for file in reflection.files(file_containing_symbol="google.rpc.RetryInfo")]
            self.assertEqual(names, ["google/rpc/error_details.proto"])


class HealthTest(unittest.TestCase):
    """Check and Watch follow readiness, from the first moment to the end."""

    STATES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}

    def watch(self, channel, name, seen):
        call = channel.unary_stream("/grpc.health.v1.Health/Watch", request_serializer=lambda m: m.SerializeToString(),
                                    response_deserializer=contract.message("grpc.health.v1.HealthCheckResponse").FromString)
        stream = call(contract.message("grpc.health.v1.HealthCheckRequest")(service=name), timeout=120 * SLOW,
                      wait_for_ready=True)

        def read():
            try:
                for answer in stream:
                    seen.append(self.STATES[answer.status])
            except grpc.RpcError as error:
                seen.append(error.code().name)
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def test_watch_is_told_of_each_change(self):
        with Service({"execsvc": {"drain": "60s"}}) as service, \
                grpc.insecure_channel(f"unix:{service.socket}") as channel:
            names = ("", EXEC + "Execution", EXEC + "Node", "no.Such")
            seen = {name: [] for name in names}
            threads = [self.watch(channel, name, seen[name]) for name in names]
            wait_for(lambda: all(seen.values()), 20, "the first answers")
            self.assertEqual([seen[name] for name in names], [["SERVING"]] * 3 + [["SERVICE_UNKNOWN"]])

            client = service.client()
            call = client.interact(argv=["cat"])  # so that the drain takes its time
            call.wait(lambda run: run.started)
            service.process.terminate()
            wait_for(lambda: all(len(seen[name]) > 1 for name in names[:3]), 20, "the change")
            self.assertEqual([seen[name] for name in names[:3]], [["SERVING", "NOT_SERVING"]] * 3)
            self.assertFalse(client.serving())
            self.assertFalse(client.serving(EXEC + "Execution"))
            call.say(close_stdin=True)
            call.end()
            for thread in threads:
                thread.join(30 * SLOW)
            self.assertEqual({state[-1] for state in seen.values()}, {"UNAVAILABLE"})
            service.process.wait(30 * SLOW)

    def test_before_it_is_ready_it_says_so(self):
        # A runtime whose probe takes a while holds readiness back.
        text = '[runtime "slow"]\ncommand = /bin/true {entry}\nversion = /bin/sleep 3\n'
        service = Service(text=text)
        seen = []
        with grpc.insecure_channel(f"unix:{service.socket}", options=[("grpc.min_reconnect_backoff_ms", 100),
                                                                     ("grpc.initial_reconnect_backoff_ms", 100)]) as channel:
            thread = self.watch(channel, "", seen)
            with service:
                wait_for(lambda: "SERVING" in seen, 20, "readiness")
                self.assertIn(seen, (["NOT_SERVING", "SERVING"], ["SERVING"]))
            thread.join(30 * SLOW)


if __name__ == "__main__":
    need_root()
    unittest.main(verbosity=2)
