#!/usr/bin/python3
"""The binary as a person uses it: client verbs against a tiny server with canned answers, render, check-config."""
import datetime
import http.server
import json
import os
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "rig"))
from machine import patient  # noqa: E402

BIN = os.environ.get("EDGE_HEALER_BIN", "build/release/edge-healer")


def ago(seconds):
    t = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)
    return t.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def status(**changes):
    s = {
        "node": "edge-1", "version": "1.2.3", "mode": "heal", "started": ago(3 * 3600 + 1),
        "link": {"state": "offline", "reason": "no answer for 3s", "since": ago(1230), "server": "https://10.0.0.1:6443"},
        "gate": {"state": "closed", "since": ago(1230), "note": "3 addresses of the API server known", "addresses": []},
        "mirror": {"nodes": 3, "replicaSets": 2, "pods": 8, "inSync": False, "confirmed": ago(1230)},
        "checks": [{"name": "store", "ok": True, "note": "takes writes"},
                   {"name": "serf", "ok": False, "note": "no fresh answer of the serf agent: not acting"}],
        "majority": True, "breakerOpen": False, "tilted": False, "copies": 1,
        "suspects": [{"node": "edge-3", "state": "confirmed", "note": "2 of 2 witnesses"}],
        "losses": [{"uid": "u1", "namespace": "default", "pod": "web-0", "cause": "node", "state": "claimed",
                    "lostNode": "edge-3", "note": "rank 0 acts", "ranks": ["edge-1", "edge-2"], "declared": ago(5)}],
    }
    s.update(changes)
    return s


MEMBERS = [
    {"node": "edge-2", "address": "10.0.0.2", "status": "failed", "site": "", "api": False, "canBid": False, "since": ago(630)},
    {"node": "edge-1", "address": "10.0.0.1", "status": "alive", "site": "west", "api": True, "canBid": True,
     "cpuMilli": 1500, "memoryMiB": 812, "pods": 107, "since": ago(5430)},
]
PODS = [
    {"namespace": "shop", "pod": "b\x1b[2J", "uid": "u2", "phase": "Pending", "ready": False, "replicaSet": "b",
     "offlineRefusal": "spec.volumes[0]: needs Secret s"},
    {"namespace": "default", "pod": "web-0", "uid": "u1", "node": "edge-3", "replicaSet": "web", "phase": "Running", "ready": True},
    {"namespace": "default", "pod": "alone", "uid": "u3", "node": "edge-3", "phase": "Running", "ready": True},
]
CLAIMS = [{"uid": "u1", "namespace": "default", "pod": "web-0", "node": "edge-1", "epoch": 2, "rank": 0, "state": "live",
           "at": ago(3 * 3600 + 30), "copy": "running", "lostNode": "edge-3", "file": "edge-healer-web-0-12345678.json"},
          {"uid": "u9", "node": "edge-2", "epoch": 1, "rank": 1, "state": "done"}]
HISTORY = [{"id": 2, "at": ago(1230), "event": "restored", "namespace": "default", "pod": "web-0", "node": "edge-1", "detail": "epoch=2"},
           {"id": 1, "at": ago(86400 * 3), "event": "started"}]


class Daemon(http.server.BaseHTTPRequestHandler):
    seen = []
    tokens = []
    answers = {}                     # path: (code, body), or a function of the whole path that returns it

    def do_GET(self):
        Daemon.seen.append(self.path)
        Daemon.tokens.append(self.headers.get("Authorization"))
        answer = Daemon.answers.get(self.path.split("?")[0], (404, {"error": "no such path; GET / lists them"}))
        code, body = answer(self.path) if callable(answer) else answer
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        if code == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Daemon)
URL = "http://127.0.0.1:%d" % server.server_port
ENV = {"PATH": "/usr/bin:/bin", "EDGE_HEALER_URL": URL, "http_proxy": "http://127.0.0.1:1"}   # a proxy must not matter


class UnixServer(socketserver.ThreadingUnixStreamServer):
    """The same daemon behind a Unix socket."""

    def finish_request(self, request, address):
        Daemon(request, ("unix", 0), self)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], BrokenPipeError):      # who gave up is gone
            super().handle_error(request, client_address)


def run(*args, stdin="", env=None):
    r = subprocess.run([BIN, *args], input=stdin, capture_output=True, text=True, timeout=patient(60), env={**ENV, **(env or {})})
    for word in ("ERROR: AddressSanitizer", "LeakSanitizer", "runtime error"):
        assert word not in r.stderr, r.stderr
    return r.returncode, r.stdout, r.stderr


def rows(text):
    return [line.split() for line in text.splitlines()]


def expect(got, code, out=(), err=()):
    assert got[0] == code, "exit %d instead of %d: %s%s" % (got[0], code, got[1], got[2])
    for part in out:
        assert part in got[1], "%r is not in:\n%s" % (part, got[1])
    for part in err:
        assert part in got[2], "%r is not in:\n%s" % (part, got[2])


def test_status():
    got = run("status")
    expect(got, 0, ["Node:       edge-1\n", "Version:    1.2.3, up 3h\n", "Mode:       heal\n",
                    "Link:       offline for 20m: no answer for 3s (https://10.0.0.1:6443)\n",
                    "Gate:       closed for 20m: 3 addresses of the API server known\n",
                    "Mirror:     3 nodes, 2 ReplicaSets, 8 pods; last confirmed 20m ago\n", "Majority:   yes\n",
                    "Breaker:    closed\n", "Copies:     1 on this node\n", "  ok      store   takes writes\n",
                    "  FAILED  serf    no fresh answer", "NODE     STATE       NOTE\n  edge-3   confirmed   2 of 2 witnesses\n",
                    "NAMESPACE   POD     CAUSE   STATE     LOST NODE   AGE   NOTE\n"])
    assert "\033" not in got[1]                                    # no terminal: no color
    assert "RANKS" not in got[1] and "edge-1,edge-2" in run("status", "-o", "wide")[1]


def test_status_quiet():
    Daemon.answers["/v1/status"] = (200, status(suspects=[], losses=[], mode="observe", majority=False, breakerOpen=True, tilted=True,
                                                 mirror={"nodes": 0, "replicaSets": 0, "pods": 0, "inSync": True}))
    expect(run("status"), 0, ["Suspects:   <none>\n", "Losses:     <none>\n", "Mode:       observe (", "; in sync\n", "Majority:   no:",
                              "Breaker:    OPEN", "Clock:      jumped"])


def test_status_sparse():
    Daemon.answers["/v1/status"] = (200, {})                       # an older daemon: nothing crashes
    expect(run("status"), 0, ["Node:       <none>\n"])
    Daemon.answers["/v1/status"] = (200, {"node": 5, "checks": "x", "losses": [1, None, {"ranks": [1]}], "link": []})
    expect(run("status"), 0, ["<none>"])


def test_json():
    for path, verb in (("status", "status"), ("members", "members"), ("pods", "pods"), ("claims", "claims"), ("history", "history")):
        code, out, _ = run(verb, "-o", "json")
        assert code == 0 and json.loads(out) == Daemon.answers["/v1/" + path][1], out
        assert len(out.splitlines()) > 3                           # pretty


def test_members():
    code, out, _ = run("members")
    assert code == 0
    assert rows(out) == ["NODE STATUS SITE API BIDS CPU MEMORY PODS SINCE".split(),
                         "edge-1 alive west yes yes 1500m 812Mi 107 90m".split(),
                         "edge-2 failed <none> no no <none> <none> <none> 10m".split()], out
    lines = out.splitlines()
    assert lines[0].index("STATUS") == lines[1].index("alive") == lines[2].index("failed")
    assert not any(line.endswith(" ") for line in lines)
    assert "10.0.0.2" in run("members", "--output=wide")[1]


def test_pods():
    code, out, _ = run("pods")
    assert code == 0 and "\x1b" not in out                         # a name cannot steer the terminal
    lines = out.splitlines()
    assert [line.split()[1] for line in lines] == ["NAME", "alone", "web-0", "b?[2J"], out
    assert "no: not of a ReplicaSet" in lines[1] and lines[2].endswith("yes")
    assert "<none>" in lines[3] and lines[3].endswith("no: spec.volumes[0]: needs Secret s")
    expect(run("pods", "--node", "edge 3", "-n", "a&b"), 0)
    assert Daemon.seen[-1] == "/v1/pods?node=edge%203&namespace=a%26b", Daemon.seen[-1]
    expect(run("pods", "--namespace=shop"), 0)
    assert Daemon.seen[-1] == "/v1/pods?namespace=shop"


def test_claims():
    code, out, _ = run("claims")
    assert code == 0 and rows(out)[1] == "<none> <none> edge-2 1 1 done <none> <none> <none>".split(), out
    assert rows(out)[2] == "default web-0 edge-1 2 0 live running edge-3 3h".split(), out
    assert "edge-healer-web-0-12345678.json" in run("claims", "-o", "wide")[1]


def test_history():
    code, out, _ = run("history", "web-0", "--limit", "5")
    assert code == 0 and Daemon.seen[-1] == "/v1/history?limit=5&for=web-0"
    assert rows(out)[1] == "20m restored default web-0 edge-1 epoch=2".split(), out
    assert rows(out)[2][:2] == ["3d", "started"], out


def test_empty():
    for verb in ("members", "pods", "claims", "history", "readiness"):
        Daemon.answers["/v1/" + verb] = (200, [])
        got = run(verb)
        expect(got, 0, [], ["no %s found" % ("workloads" if verb == "readiness" else verb)])
        assert got[1] == ""


def test_unreachable():
    for args in (("status",), ("pods", "-o", "json"), ("history",)):
        got = run(*args, "-s", "127.0.0.1:1")
        expect(got, 1, [], ["edge-healer %s: no answer from http://127.0.0.1:1 (" % args[0], "Is the daemon running", "--server"])
        assert got[1] == "" and len(got[2].splitlines()) == 1, got[2]
    expect(run("status", "-s", URL + "/"), 0)
    expect(run("status", "--server=" + URL[7:], env={"EDGE_HEALER_URL": "127.0.0.1:1"}), 0)


def test_http_errors():
    Daemon.answers["/v1/history"] = (400, {"error": "limit: write a number from 1 to 1000"})
    expect(run("history", "--limit", "0"), 1, [], ["answered 400: limit: write a number from 1 to 1000"])
    Daemon.answers["/v1/history"] = (502, b"<html>\x1b[2J")
    got = run("history")
    expect(got, 1, [], ["answered 502", "is this an edge-healer?"])
    assert "\x1b" not in got[2]
    for body in (b"", b"{", b"5", b"<html>"):
        Daemon.answers["/v1/history"] = (200, body)
        expect(run("history"), 1, [], ["the answer is not edge-healer's JSON"])


def pages_of(items, size):
    """As the daemon gives them: the token is the number of what has been told."""
    def answer(path):
        at = int(path.split("continue=")[1].split("&")[0]) if "continue=" in path else 0
        rest = len(items) - at - size
        return 200, {"items": items[at:at + size],
                     "metadata": {"continue": str(at + size), "remainingItemCount": rest} if rest > 0 else {}}
    return answer


def test_pages_are_followed():
    pods = [{"namespace": "shop", "pod": "web-%03d" % i, "phase": "Running", "ready": True, "replicaSet": "web"} for i in range(10)]
    for size in (3, 5, 10, 20):
        Daemon.answers["/v1/pods"] = pages_of(pods, size)
        before = len(Daemon.seen)
        code, out, _ = run("pods", "-n", "shop", "-o", "json")
        assert code == 0 and json.loads(out) == pods, out
        assert len(Daemon.seen) - before == -(-10 // size), Daemon.seen[before:]
        assert all("namespace=shop" in path for path in Daemon.seen[before:])
    assert len(run("pods")[1].splitlines()) == 11
    Daemon.answers["/v1/history"] = pages_of(HISTORY, 1)               # as many as were asked for: one page
    assert json.loads(run("history", "--limit", "1", "-o", "json")[1]) == HISTORY[:1]
    Daemon.answers["/v1/pods"] = lambda path: (200, {"items": [], "metadata": {"continue": "x"}}) if "continue" not in path else (400, {"error": "no"})
    expect(run("pods"), 1, [], ["answered 400: no"])


def test_busy():
    answers = [(429, {"error": "another large answer is on its way"}), (200, {"items": PODS, "metadata": {}})]
    Daemon.answers["/v1/pods"] = lambda path: answers.pop(0)
    began = time.monotonic()
    code, out, _ = run("pods", "-o", "json")
    assert code == 0 and json.loads(out) == PODS and not answers
    assert time.monotonic() - began >= 1, "as long as the daemon said"


def test_the_socket_first():
    with tempfile.TemporaryDirectory() as d:
        path, port = os.path.join(d, "s"), str(server.server_port)
        env = {"EDGE_HEALER_URL": "", "EDGE_HEALER_HTTP_SOCKET": path}
        nobody = "127.0.0.1:1"
        expect(run("status", env={**env, "EDGE_HEALER_HTTP_LISTEN": "0.0.0.0:" + port}), 0)      # no socket: the address
        expect(run("status", env={**env, "EDGE_HEALER_HTTP_LISTEN": nobody, "METRICS_PORT": port}), 0)
        expect(run("status", env={**env, "EDGE_HEALER_HTTP_LISTEN": nobody}), 1, [], ["no answer from http://127.0.0.1:1 ("])
        expect(run("status", env={**env, "EDGE_HEALER_HTTP_SOCKET": "", "EDGE_HEALER_HTTP_LISTEN": "[::]:" + port}), 0)
        with UnixServer(path, Daemon) as u:
            threading.Thread(target=u.serve_forever, daemon=True).start()
            expect(run("status", env={**env, "EDGE_HEALER_HTTP_LISTEN": nobody}), 0)
            expect(run("status", "-s", "unix:" + path, env={"EDGE_HEALER_URL": nobody}), 0)
            u.shutdown()
        expect(run("status", "-s", "unix:" + path), 1, [], ["no answer from " + path])


def said_goodbye(answer, server=None):
    """(what the verb said, seconds, how often the daemon was asked): the daemon behind its socket answers with `answer`."""
    Daemon.answers["/v1/goodbye"] = answer
    del Daemon.seen[:]
    with tempfile.TemporaryDirectory() as d:
        path = d + "/healer.sock"
        with UnixServer(path, Daemon) as u:
            u.daemon_threads = True
            threading.Thread(target=u.serve_forever, daemon=True).start()
            began = time.monotonic()
            got = run("goodbye", "-s", "unix:" + path)
            took = time.monotonic() - began
            u.shutdown()
    return got, took, Daemon.seen.count("/v1/goodbye")


def test_goodbye():
    """A preStop hook: Serf leaves after it, and nobody waits longer than 2 s for it, whatever the daemon does."""
    told = (200, {"goodbye": "rollout"})
    hangs = lambda path: time.sleep(10) or told                     # noqa: E731
    ends = lambda path: told if len(Daemon.seen) == 1 else hangs(path)  # noqa: E731
    got, took, times = said_goodbye(told)
    expect(got, 0, ["The site is told: rollout."])
    assert times == 3 and took >= 0.75, "gossip gets %.2f s after %d messages" % (took, times)
    got, took, times = said_goodbye(ends)
    expect(got, 0, ["The site is told: rollout."])
    assert times == 2 and took < patient(2)
    got, took, times = said_goodbye(hangs)
    expect(got, 1, [], ["edge-healer goodbye: no answer from"])
    assert times == 1 and took < patient(2)
    expect(said_goodbye((503, {"error": "the serf agent of this node is away"}))[0], 1, [], ["the serf agent of this node is away"])
    expect(run("goodbye", "word"), 2, [], ["unexpected argument \"word\""])
    expect(run("goodbye"), 1, [], ["http.socket"])


def test_token():
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("s3cret\n")
        f.flush()
        expect(run("status"), 0)
        assert Daemon.tokens[-1] is None
        expect(run("status", "--token-file", f.name), 0)
        assert Daemon.tokens[-1] == "Bearer s3cret"
        own = {"EDGE_HEALER_HTTP_TOKEN_FILE": f.name}
        expect(run("status", env=own), 0)                                  # the daemon's own, for nobody else
        assert Daemon.tokens[-1] is None
        expect(run("status", env={**own, "EDGE_HEALER_URL": "", "EDGE_HEALER_HTTP_SOCKET": "", "METRICS_PORT": str(server.server_port)}), 0)
        assert Daemon.tokens[-1] == "Bearer s3cret"
    expect(run("status", "--token-file", "/no/such"), 1, [], ["/no/such: No such file"])


def test_usage():
    for args, part in ((("pods", "--nod", "x"), "Did you mean --node?"), (("pods", "--node"), "a value is missing behind \"--node\""),
                       (("pods", "word"), "unexpected argument \"word\""), (("history", "a", "b"), "unexpected argument \"b\""),
                       (("members", "-o", "yaml"), "write table, wide or json instead of \"yaml\""),
                       (("members", "--watch"), "unknown option \"--watch\""), (("status", "-s", "ftp://x"), "write http://HOST:PORT"),
                       (("statsu",), "did you mean status?"), (("claims", "-x"), "unknown option \"-x\"")):
        before = len(Daemon.seen)
        expect(run(*args), 2, [], [part, "--help"])
        assert len(Daemon.seen) == before
    assert run()[0] == 2


def test_help():
    for verb in ("agent", "status", "members", "pods", "readiness", "claims", "history", "forget", "goodbye", "render", "check-config", "completion", "version"):
        expect(run(verb, "--help"), 0, ["usage: edge-healer " + verb])
    expect(run("--help"), 0, ["status", "history"])
    expect(run("version"), 0, ["edge-healer "])
    expect(run("completion", "bash"), 0, ["_edge_healer"])
    expect(run("completion"), 2, [], ["which shell"])


def test_watch():
    p = subprocess.Popen([BIN, "status", "--watch"], stdout=subprocess.PIPE, text=True, env=ENV)
    pages, line = 0, "x"
    deadline = time.monotonic() + patient(20)
    while pages < 2 and line and time.monotonic() < deadline:
        line = p.stdout.readline()
        pages += line.startswith("Node:")
    p.kill()
    p.communicate()
    assert pages == 2


POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "uid": "bdedc685-793f-415f-80c0-fdb7fddfd6e1"},
       "spec": {"containers": [{"name": "c", "image": "localhost/busybox:1"}]}}


ADMITS = "the cluster may admit something else"


def test_render():
    code, out, _ = run("render", "--node", "n1", "--image", "localhost/busybox:1", stdin=json.dumps(POD))
    assert code == 0 and json.loads(out)["metadata"]["annotations"]["edge-healer.io/epoch"] == "1"
    refused = json.loads(json.dumps(POD))
    refused["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "s"}}]
    got = run("render", "--node=n1", stdin=json.dumps(refused))
    expect(got, 3, [], ["spec.volumes[0]: needs Secret s\n"])
    assert got[1] == ""
    expect(run("render", "--node", "n1", "--image", "other", stdin=json.dumps(POD)), 3, [], ["is not on this node"])
    expect(run("render", "--node", "n1", stdin="{"), 1, [], ["edge-healer render: stdin: line 1: ends in the middle\n"])
    expect(run("render", stdin="{}"), 2, [], ["--node is required"])
    expect(run("render", "--node", "n1", "--epoch", "0"), 2, [], ["--epoch"])


def test_render_file():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "pod.json")
        for pod, told in ((POD, True), (dict(POD, metadata=dict(POD["metadata"], resourceVersion="7")), False)):
            with open(path, "w") as f:
                json.dump(pod, f)
            code, out, err = run("render", "--node", "n1", path)
            assert code == 0 and json.loads(out)["spec"]["hostname"] == "a" and (ADMITS in err) == told, err
            for args, stdin in ((("-",), json.dumps(pod)), ((), json.dumps(pod))):
                assert run("render", *args, "--node=n1", stdin=stdin) == (code, out, err)
        expect(run("render", path, "--node", "n1", path), 2, [], ["more than one FILE"])
        expect(run("render", "--node", "n1", os.path.join(d, "none")), 1, [], [d + "/none: No such file or directory"])
        expect(run("render", "--node", "n1", d), 1, [], [": Is a directory"])
        with open(path, "w") as f:
            f.write(" " * 10 * 1024 * 1024)
        expect(run("render", "--node", "n1", path), 1, [], [path + ": has more than 10485759 bytes, which kubelet does not read"])


def test_render_says_what_it_cannot_read():
    pod = json.dumps(POD, indent=1)
    rows = (
        ("", 1, "stdin: it is empty: give one Pod as JSON (kubectl get pod NAME -o json)"),
        ("\n \n", 1, "stdin: it is empty: give one Pod as JSON"),
        ("\ufeff" + pod, 1, "stdin: line 1: begins with a byte order mark: save it as UTF-8 without one"),
        (pod.replace('"kind"', '// mine\n"kind"'), 1, "stdin: line 3: JSON has no comments: remove it"),
        ("# mine\n" + pod, 1, "stdin: line 1: JSON has no comments: remove it"),
        (pod + "\n" + pod, 1, "stdin: line %d: a second document begins here: give one alone" % (pod.count("\n") + 2)),
        (pod + "\n---\n" + pod, 1, "a second document begins here"),
        (pod.replace('"v1"', "NaN"), 1, "stdin: line 2: NaN is no number in JSON: write a finite one"),
        (pod.replace('"v1"', "-Infinity"), 1, "stdin: line 2: -Infinity is no number in JSON"),
        (pod.replace('"v1"', "18446744073709551616"), 1, "stdin: line 2: the integer 18446744073709551616 does not fit into 64 bits"),
        (pod.replace('"v1"', '"v1",\n"kind": "Pod"'), 1, 'stdin: line 4: the key "kind" is there twice'),
        ("apiVersion: v1\nkind: Pod\n", 1, "stdin: is YAML: give it as JSON (kubectl create --dry-run=client -o json -f FILE)"),
        ("# a pod\n---\nkind: Pod\n", 1, "stdin: is YAML"),
        ("kind:\n  Pod\n", 1, "stdin: is YAML"),
        ("- kind: Pod\n", 1, "stdin: is YAML"),
        ("5", 3, "metadata and spec: required"),
        (json.dumps([POD]), 3, "kind: a list is not a Pod: give one item of it"),
        (json.dumps({"kind": "List", "items": [POD]}), 3, "kind: List is not a Pod: give one item of it"),
        (json.dumps({"kind": "PodList", "items": [POD]}), 3, "kind: PodList is not a Pod: give one item of it"),
        (json.dumps(dict(POD, kind="Deployment")), 3,
         "kind: Deployment is not a Pod: give one of its pods (kubectl get pod NAME -o json)"),
        (json.dumps(dict(POD, kind="Service")), 3, "kind: Service is not a Pod"),
    )
    for text, code, message in rows:
        got = run("render", "--node", "n1", stdin=text)
        expect(got, code, [], [message])
        assert got[1] == "" and len(got[2].replace("edge-healer render: this is rendered", "").splitlines()) <= 2, got[2]


def test_render_quantities():
    huge = json.loads(json.dumps(POD))
    huge["spec"]["initContainers"] = [dict(POD["spec"]["containers"][0], name="i", resources={"limits": {"cpu": "3"}})]
    expect(run("render", "--node", "n1", "--cpu", "2", "--memory", "1Gi", stdin=json.dumps(huge)), 3, [], ["requests 3000m CPU, this node has 2000m"])
    expect(run("render", "--node", "n1", "--cpu", "3", "--memory", "1Gi", stdin=json.dumps(huge)), 0)
    huge["spec"]["overhead"] = {"cpu": "a few"}
    expect(run("render", "--node", "n1", stdin=json.dumps(huge)), 3, [], ['spec.overhead.cpu: invalid quantity "a few"\n'])
    for name in ("--cpu", "--memory"):
        for bad in ("1GB", "-1", ""):
            expect(run("render", "--node", "n1", name, bad, stdin=json.dumps(POD)), 2, [], ['%s: invalid quantity "%s"' % (name, bad)])
    expect(run("render", "--node", "n1", "--image", "docker.io/library/nginx", stdin=json.dumps(POD)), 3, [], ["is not on this node"])
    nginx = json.loads(json.dumps(POD))
    nginx["spec"]["containers"][0]["image"] = "nginx:latest"
    expect(run("render", "--node", "n1", "--image", "docker.io/library/nginx", stdin=json.dumps(nginx)), 0)


OBJECTS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  color: red $(HOME)
  "yes": 'true'
---
kind: List
items:
- {kind: Secret, metadata: {name: tls, namespace: default}, data: {tls.crt: Y2VydA==}, stringData: {key: s3cret}}
- {kind: Secret, metadata: {name: tls, namespace: other}, data: {}}
"""


def test_render_with_objects():
    pod = json.loads(json.dumps(POD))
    pod["spec"]["containers"][0].update(envFrom=[{"configMapRef": {"name": "settings"}}],
                                        volumeMounts=[{"name": "v", "mountPath": "/v"}])
    pod["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "tls", "defaultMode": 256}}]
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "objects.yaml")
        for text in (OBJECTS, json.dumps([{"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"color": "red $(HOME)", "yes": "true"}},
                                          {"kind": "Secret", "metadata": {"name": "tls"}, "data": {"tls.crt": "Y2VydA==", "key": "czNjcmV0"}}])):
            with open(path, "w") as f:
                f.write(text)
            code, out, err = run("render", "--node", "n1", "--objects", path, "--bundle-dir", "/b", stdin=json.dumps(pod))
            assert code == 0, err
            out = json.loads(out)
            assert out["spec"]["containers"][0]["env"] == [{"name": "color", "value": "red $$(HOME)"}, {"name": "yes", "value": "true"}], out
            assert out["spec"]["volumes"][0]["hostPath"]["path"] == "/b/%s/v" % out["metadata"]["uid"]
            note, *files = err.splitlines()
            assert ADMITS in note, err
            assert [line.split() for line in sorted(files)] == [
                ["0400", "4", "v/tls.crt"], ["0400", "6", "v/key"], ["0755", "0", "v/"]], err
            assert "s3cret" not in err
        strange = dict(json.loads(json.dumps(pod)), spec=dict(pod["spec"], volumes=[], containers=[dict(
            pod["spec"]["containers"][0], volumeMounts=[], envFrom=[{"prefix": "1", "configMapRef": {"name": "settings"}}])]))
        for version, names in (("v1.33.9", []), ("v1.34.0", ["1color", "1yes"])):
            code, out, err = run("render", "--node", "n1", "--objects", path, "--kubelet-version", version, stdin=json.dumps(strange))
            assert code == 0 and [e["name"] for e in json.loads(out)["spec"]["containers"][0]["env"]] == names, (version, out, err)
        expect(run("render", "--node", "n1", "--kubelet-version", "1.34", stdin="{}"), 2, [], ["write v1.36.2"])
        pod["spec"]["volumes"][0]["secret"]["secretName"] = "none"
        expect(run("render", "--node", "n1", "--objects", path, stdin=json.dumps(pod)), 3, [], ["spec.volumes[0]: Secret none is missing\n"])
        bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join("%s: &%s [%s]\n" % (b, b, ",".join(["*" + a] * 9)) for a, b in zip("abcdefgh", "bcdefghi"))
        for text, why in (("a: [", "line "), ("&a [*a]", "nested too deeply"), (bomb, "too much of it"), ("? [x]\n: y", "keys must be text")):
            with open(path, "w") as f:
                f.write(text)
            expect(run("render", "--node", "n1", "--objects", path, stdin=json.dumps(pod)), 1, [], ["--objects " + path, why])
    expect(run("render", "--node", "n1", "--objects", "/none", stdin=json.dumps(pod)), 1, [], ["No such file"])


READINESS = [{"namespace": "shop", "workload": "web-1", "deployment": "web", "replicas": 3, "ready": False, "uid": "u1",
              "reason": "spec.volumes[0]: Secret tls is missing"},
             {"namespace": "default", "workload": "api-2", "replicas": 1, "ready": True, "uid": "u2"}]


def test_readiness():
    code, out, _ = run("readiness")
    assert code == 0 and rows(out)[1] == "default api-2 yes <none>".split(), out
    assert rows(out)[2][:3] == ["shop", "web-1", "no"] and "Secret tls is missing" in out, out
    assert "web" in run("readiness", "-o", "wide")[1] and "u1" in run("readiness", "-o", "wide")[1]
    expect(run("readiness", "-n", "shop", "-o", "json"), 0)
    assert Daemon.seen[-1] == "/v1/readiness?namespace=shop"


def test_check_config():
    """The checks themselves: test_check_config.py."""
    expect(run("check-config", "--reference"), 0, ["| `serf.rpc` |"])
    expect(run("check-config", "--bogus"), 2, [], ["unknown option \"--bogus\"", "--help"])
    expect(run("agent", "--nonsense"), 2, [], ["--nonsense"])


def main():
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith("test_") and callable(f)]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    failed = 0
    for name, fn in tests:
        Daemon.answers = {"/v1/status": (200, status()), "/v1/members": (200, MEMBERS), "/v1/pods": (200, PODS),
                          "/v1/claims": (200, CLAIMS), "/v1/history": (200, HISTORY), "/v1/readiness": (200, READINESS)}
        try:
            fn()
        except Exception as e:                                     # noqa: BLE001 — each test stands alone
            failed += 1
            print("FAILED %s: %s: %s" % (name, type(e).__name__, e))
    server.shutdown()
    print("%d passed, %d failed" % (len(tests) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
