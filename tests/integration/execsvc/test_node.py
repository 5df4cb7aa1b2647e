"""Node.Info, Runtimes, Stats, Watch; health; reflection; the configuration as a file, environment and flags."""

import os
import subprocess
import unittest

import grpc
from common import BUILD, Service, ServiceTest, contract, main


class Node(ServiceTest):
    settings = {"execsvc": {"node": "node-7", "running_max": 3}, "limits": {"memory": "96M"},
                "ceilings": {"memory": "200M"}}
    text = ('[runtime "lua-like"]\ncommand = /bin/sh {entry} {args}\nversion = /bin/echo Lua 9.9\nextensions = .lual\n'
            'env.GREETING = hello there\nlimit.cpu = 3s\nsubprocess = deny\n'
            '[runtime "broken"]\ncommand = /usr/bin/no-such {entry}\nversion = /usr/bin/no-such --version\n'
            '[runtime "node"]\nenabled = no\n[environment]\nTZ = UTC\n')

    def test_info_says_what_is_enforced(self):
        info = self.client.unary("Node/Info", contract.NodeInfoRequest(), contract.NodeInfo)
        self.assertEqual((info.node, info.running_max, info.slots_max, info.tenant), ("node-7", 3, 24, "uid:0"))
        limits = {limit.name: limit for limit in info.limits}
        self.assertEqual(len(limits), 10)
        self.assertEqual((limits["memory"].default_value, limits["memory"].ceiling, limits["memory"].unit),
                         (96 << 20, 200 << 20, "bytes"))
        self.assertEqual(len(info.layers), 20)
        self.assertTrue(all(layer.active for layer in info.layers if layer.name in ("seccomp", "user-namespace")))
        run = self.client.run(argv=["/bin/true"], limits={"memory_bytes": 201 << 20})
        self.assertEqual(run.details["field"], "limits.memory_bytes")
        self.assertEqual(run.details["meta"], {"limit": "memory", "value": str(201 << 20), "ceiling": str(200 << 20)})

    def test_a_runtime_of_the_operators_works_and_a_broken_one_is_told(self):
        reply = self.client.unary("Node/Runtimes", contract.RuntimesRequest(), contract.RuntimesResponse)
        runtimes = {runtime.name: runtime for runtime in reply.runtimes}
        self.assertEqual(runtimes["lua-like"].version, "Lua 9.9")
        self.assertEqual(list(runtimes["lua-like"].extensions), [".lual"])
        self.assertTrue(runtimes["c"].compiled)
        self.assertNotIn("node", runtimes)
        self.assertFalse(runtimes["broken"].available)
        self.assertTrue(runtimes["broken"].detail)
        run = self.client.run(runtime="lua-like", files={"a.lual": 'echo "$GREETING $1 $TZ"'}, args=["x"])
        self.assertEqual(run.stdout, b"hello there x UTC\n", run)
        run = self.client.run(runtime="lua-like", files={"a.lual": "/bin/true; /bin/true\n"})
        self.assertIn("subprocess", [refusal.operation for refusal in run.result.refusals])
        run = self.client.run(runtime="broken", files={"a": ""})
        self.assertEqual((run.code, run.details["reason"]), ("UNAVAILABLE", "RUNTIME_UNAVAILABLE"))
        self.assertEqual(self.client.run(runtime="node", files={"a": ""}).code, "NOT_FOUND")

    def test_stats_count_and_list_what_runs(self):
        before = self.client.unary("Node/Stats", contract.StatsRequest(), contract.NodeStats)
        self.client.run(argv=["/bin/false"])
        request = self.client.request(argv=["/bin/cat"])
        request.labels.add(key="course", value="cs1")
        call = self.client.interact(first=contract.InteractRequest(start=request))
        call.wait(lambda run: run.started)
        stats = self.client.unary("Node/Stats", contract.StatsRequest(runs=True), contract.NodeStats)
        self.assertEqual(stats.runs_total, before.runs_total + 2)
        self.assertEqual((stats.ready, stats.draining, stats.running), (True, False, 1))
        self.assertEqual([(r.run_id, r.tenant, r.state, r.labels[0].value) for r in stats.runs],
                         [(call.run.run_id, "uid:0", 3, "cs1")])
        exited = {contract.enum("Verdict", v.verdict): v.count for v in stats.verdicts}
        self.assertGreaterEqual(exited["VERDICT_EXITED"], 1)
        call.say(close_stdin=True)
        call.end()

    def test_who_watches_sees_what_a_run_uses(self):
        code = "x = bytearray(40 << 20)\nwhile True: pass"
        call = self.client.interact(runtime="python3", files={"a.py": code})
        watch = self.client.channel.unary_stream("/cloister.exec.v1.Node/Watch",
                                                 request_serializer=lambda m: m.SerializeToString(),
                                                 response_deserializer=contract.NodeStats.FromString)
        seen = []
        for stats in watch(contract.WatchRequest(interval_ms=200, runs=True), timeout=self.client.timeout):
            seen += [run for run in stats.runs if run.cpu_ms > 0]
            if seen and seen[-1].memory_bytes > 40 << 20 and seen[-1].cpu_ms > seen[0].cpu_ms:
                break
        self.assertEqual({run.run_id for run in seen}, {call.run.run_id})
        call.drop()

    def test_watch_goes_on_until_the_caller_goes(self):
        watch = self.client.channel.unary_stream("/cloister.exec.v1.Node/Watch",
                                                 request_serializer=lambda m: m.SerializeToString(),
                                                 response_deserializer=contract.NodeStats.FromString)
        call = watch(contract.WatchRequest(interval_ms=200), timeout=20)
        uptimes = [next(call).uptime_ms for _ in range(4)]
        self.assertEqual(uptimes, sorted(uptimes))
        self.assertGreater(uptimes[-1] - uptimes[0], 400)
        call.cancel()
        with self.assertRaises(grpc.RpcError) as caught:
            next(watch(contract.WatchRequest(interval_ms=10)))
        self.assertEqual(caught.exception.code().name, "INVALID_ARGUMENT")

    def test_health_and_what_is_not_there(self):
        for name in ("", "cloister.exec.v1.Execution", "cloister.exec.v1.Node"):
            self.assertTrue(self.client.serving(name))
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.serving("nothing")
        self.assertEqual(caught.exception.code().name, "NOT_FOUND")
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.unary("Node/Nothing", contract.NodeInfoRequest(), contract.NodeInfo)
        self.assertEqual(caught.exception.code().name, "UNIMPLEMENTED")


class Configuration(unittest.TestCase):
    def execsvc(self, *words, env=None):
        return subprocess.run([BUILD / "bin" / "execsvc", *words], capture_output=True, text=True,
                              env={"PATH": os.environ["PATH"], **(env or {})})

    def test_environment_beats_file_and_flag_beats_environment(self):
        service = Service({"execsvc": {"queue_max": 11, "queue_per_tenant": 12, "running_max": 13}})
        env = {"CLOISTER_QUEUE_PER_TENANT": "22", "CLOISTER_RUNNING_MAX": "23", "MEMORY_LIMIT_MB": "77"}
        shown = self.execsvc("--config", service.config, "--set", "running_max=33", "--print-config", env=env)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        for line in ("queue_max = 11", "queue_per_tenant = 22", "running_max = 33", "memory = 77M"):
            self.assertIn(line + "\n", shown.stdout)
        service.config.write_text(shown.stdout)
        again = self.execsvc("--config", service.config, "--print-config")
        self.assertEqual(again.stdout, shown.stdout)
        service.discard()

    def test_the_aliases_set_what_requests_get_that_do_not_say(self):
        aliases = {"MEMORY_LIMIT_MB": ("memory", 32 << 20), "EXECUTION_TIMEOUT": ("cpu", 32000),
                   "WALL_TIMEOUT": ("wall", 32000), "IDLE_TIMEOUT": ("idle", 32000),
                   "FILE_SIZE_LIMIT_MB": ("file-size", 32 << 20), "MAX_PROCESSES": ("processes", 32),
                   "OUTPUT_LIMIT_KB": ("output", 32 << 10), "WORKSPACE_LIMIT_MB": ("workspace", 32 << 20),
                   "OPEN_FILES_LIMIT": ("open-files", 32)}
        with Service(env={name: "32" for name in aliases}) as service:
            client = service.client()
            info = client.unary("Node/Info", contract.NodeInfoRequest(), contract.NodeInfo)
            found = {limit.name: limit.default_value for limit in info.limits}
            for name, value in aliases.values():
                self.assertEqual(found[name], value, name)
            run = client.run(argv=["/bin/sh", "-c", "ulimit -n; ulimit -f"])
            self.assertEqual(run.stdout.split(), [b"32", str((32 << 20) // 512).encode()], run)
            client.close()

    def test_an_alias_that_is_no_number_or_above_its_ceiling_ends_the_start(self):
        for value, words in (("much", "MEMORY_LIMIT_MB"), ("999999", "ceiling")):
            service = Service(env={"MEMORY_LIMIT_MB": value})
            with self.assertRaises(AssertionError) as caught:
                service.start()
            self.assertIn(words, str(caught.exception))
            service.discard()

    def test_a_mistake_ends_it_with_file_and_line(self):
        service = Service(text="[execsvc \"x\"]\n")
        service.config.write_text("[execsvc]\nrunning_maxx = 1\n")
        checked = self.execsvc("--config", service.config, "--check-config")
        self.assertEqual(checked.returncode, 2)
        self.assertIn("cloister.conf:2", checked.stderr)
        self.assertIn("running_maxx", checked.stderr)
        service.discard()

    def test_alone_it_says_who_starts_it(self):
        alone = self.execsvc()
        self.assertEqual(alone.returncode, 3)
        self.assertIn("cloister-spawner", alone.stderr)


if __name__ == "__main__":
    main()
