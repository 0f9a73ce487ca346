"""For tests: starts the parts of the cluster in a box as child processes and talks to them. Everything that was started is ended."""
import atexit
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), 'rig'))
from machine import patient  # noqa: E402

PYTHON = sys.executable
_count = {'passed': 0, 'failed': 0}


def _summary():
    if sum(_count.values()):
        print('%d passed, %d failed' % (_count['passed'], _count['failed']), flush=True)


atexit.register(_summary)


class TestCase(unittest.TestCase):
    """Counts its tests for the last line of the run."""

    def run(self, result=None):
        result = result or self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        ok = len(result.failures) + len(result.errors) == before
        _count['passed' if ok else 'failed'] += 1
        return result

    def eventually(self, check, seconds=10.0, what=None):
        """Waits until check() is true; returns what it returned."""
        seconds = patient(seconds)
        end = time.monotonic() + seconds
        while True:
            got = check()
            if got:
                return got
            if time.monotonic() > end:
                self.fail('not within %g s: %s' % (seconds, what or check))
            time.sleep(0.02)


class Api:
    """A blocking JSON client."""

    def __init__(self, url, agent='harness'):
        u = urllib.parse.urlsplit(url)
        self.host, self.port, self.agent = u.hostname, u.port, agent

    def raw(self, method, path, body=None, ctype='application/json', timeout=10, headers=None):
        c = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            data = None if body is None else json.dumps(body)
            c.request(method, path, data, dict({'Content-Type': ctype, 'User-Agent': self.agent}, **(headers or {})))
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()

    def call(self, method, path, body=None, ctype='application/json', **more):
        code, data = self.raw(method, path, body, ctype, **more)
        return code, json.loads(data)

    def get(self, path):
        return self.call('GET', path)[1]

    def pods(self, query=''):
        return self.get('/api/v1/pods' + query)['items']

    def post(self, path, body):
        return self.call('POST', path, body)

    def watch(self, path, seconds):
        """All events that come within this time, as (type, object)."""
        code, data = self.raw('GET', '%s&watch=true&timeoutSeconds=%d' % (path, seconds), timeout=seconds + 5)
        return [(e['type'], e['object']) for e in map(json.loads, data.splitlines())]


class Process:
    """A child process whose first line of output says that it serves."""

    def __init__(self, script, *args, stdin=None):
        self.p = subprocess.Popen([PYTHON, os.path.join(HERE, script)] + [str(a) for a in args], stdout=subprocess.PIPE, stdin=stdin, text=True)
        self.first = self.p.stdout.readline().strip()
        if not self.first:
            self.p.wait()
            raise RuntimeError('%s ended with %s' % (script, self.p.returncode))

    def kill(self):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()
        for f in (self.p.stdout, self.p.stdin):
            if f is not None:
                f.close()


class Proxy(Process):
    def __init__(self, to):
        super().__init__('proxy.py', '--listen', '127.0.0.1:0', '--to', to, stdin=subprocess.PIPE)
        self.address = self.first.split()[-1]

    def mode(self, mode):
        self.p.stdin.write(mode + '\n')
        self.p.stdin.flush()
        line = self.p.stdout.readline().strip()
        if line != 'ok ' + mode:
            raise RuntimeError('the proxy said %r' % line)


class Cluster:
    """An API server, and kubelets that reach it directly or through a proxy of their own."""

    def __init__(self, *args):
        self.dir = tempfile.mkdtemp(prefix='kubesim-')
        self.children = []
        self.server = self._keep(Process('apiserver.py', '--listen', '127.0.0.1:0', *args))
        self.url = self.server.first.split()[-1]
        self.address = self.url.split('//')[1]
        self.api = Api(self.url)

    def _keep(self, child):
        self.children.append(child)
        return child

    def proxy(self):
        return self._keep(Proxy(self.address))

    def kubeconfig(self, address=None):
        path = os.path.join(self.dir, 'kubeconfig-%d.yaml' % len(os.listdir(self.dir)))
        with open(path, 'w') as f:
            f.write('apiVersion: v1\nkind: Config\ncurrent-context: "kubesim"\nclusters:\n- cluster:\n    server: http://%s\n  name: kubesim\n'
                    'contexts:\n- context: {cluster: kubesim, user: me}\n  name: kubesim\nusers:\n- name: me\n  user: {}\npreferences: {}\n'
                    % (address or self.address))
        return path

    def kubelet(self, name, *args, address=None):
        root = self.root(name)
        return self._keep(Process('kubelet.py', '--kubeconfig', self.kubeconfig(address), '--node-name', name, '--root', root, '--port', 0,
                                  '--journal', os.path.join(root, 'journal'), *args))

    def root(self, name):
        path = os.path.join(self.dir, name)
        os.makedirs(path, exist_ok=True)
        return path

    def journal(self, name, event=None):
        try:
            with open(os.path.join(self.root(name), 'journal')) as f:
                rows = [json.loads(line) for line in f]
        except FileNotFoundError:
            return []
        return [r for r in rows if event is None or r['event'] == event]

    def manifest(self, node, name, **meta):
        """Renames a static pod into the node's folder; returns the time of the rename."""
        folder = os.path.join(self.root(node), 'manifests')
        pod = pod_of(name, **meta)
        with open(os.path.join(folder, '.new-' + name), 'w') as f:
            json.dump(pod, f)
        os.rename(os.path.join(folder, '.new-' + name), os.path.join(folder, name + '.json'))
        return time.time()

    def close(self):
        for child in reversed(self.children):
            child.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def pod_of(name, spec=None, **meta):
    container = {'name': 'c', 'image': 'localhost/busybox:1', 'resources': {'requests': {'cpu': '10m', 'memory': '8Mi'}}}
    return {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': dict({'name': name}, **meta), 'spec': dict({'containers': [container]}, **(spec or {}))}


def workload(kind, name, replicas):
    labels = {'app': name}
    return {'apiVersion': 'apps/v1', 'kind': kind, 'metadata': {'name': name, 'labels': labels}, 'spec': {
        'replicas': replicas, 'selector': {'matchLabels': labels}, 'template': {'metadata': {'labels': labels}, 'spec': pod_of('x')['spec']}}}
