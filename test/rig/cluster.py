"""A site on this machine, for the demo, the end-to-end tests and the benchmarks.

Real serf agents and real edge-healers, simulated kubelets, and an API server: kubesim, or with a kubeconfig any real control
plane. Each node has an address of its own in 127.0.0.0/8 and reaches the API server through a TCP proxy of its own, which can
refuse or swallow: that is how a test cuts the API server off, the same way for kubesim and for a real one.
"""
import atexit
import base64
import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid

TEST = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KUBESIM = os.path.join(TEST, 'kubesim')
PYTHON = '/usr/bin/python3'
SERF_PORT, RPC_PORT, KUBELET_PORT, HEALTHZ_PORT, HTTP_PORT = 7946, 7373, 10250, 10248, 8000
BINARY_ENV = 'EDGE_HEALER_BIN'           # the test programs' own; the daemon would take it for a key of its configuration
MEMORY_FS = '/dev/shm'
IMAGE = 'localhost/busybox:1'
sys.path.insert(0, KUBESIM)
import yaml_lite  # noqa: E402


def _die_with_parent():
    """A child must not outlive a test that was killed (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def wait_for(check, seconds, what):
    """Waits until check() is true and returns its value; raises AssertionError naming what did not happen."""
    end = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError('not within %g s: %s' % (seconds, what))
        time.sleep(0.02)


class Api:
    """A blocking JSON client of an API server, by kubeconfig."""

    def __init__(self, kubeconfig):
        with open(kubeconfig) as f:
            self.config = yaml_lite.load(f.read())
        context = next(c['context'] for c in self.config['contexts'] if c['name'] == self.config['current-context'])
        self.cluster = next(c['cluster'] for c in self.config['clusters'] if c['name'] == context['cluster'])
        self.user = next((u.get('user') or {} for u in self.config['users'] if u['name'] == context['user']), {})
        self.url = urllib.parse.urlsplit(self.cluster['server'])
        self.tls = self._tls() if self.url.scheme == 'https' else None

    def _file(self, where, key):
        """A path for KEY or KEY-data."""
        if where.get(key + '-data'):
            f = tempfile.NamedTemporaryFile(delete=False)
            f.write(base64.b64decode(where[key + '-data']))
            f.close()
            atexit.register(lambda: os.path.exists(f.name) and os.unlink(f.name))
            return f.name
        return where.get(key)

    def _tls(self):
        ca = self._file(self.cluster, 'certificate-authority')
        tls = ssl.create_default_context(cafile=ca) if ca else ssl._create_unverified_context()
        cert, key = self._file(self.user, 'client-certificate'), self._file(self.user, 'client-key')
        if cert:
            tls.load_cert_chain(cert, key)
        return tls

    def headers(self, **more):
        headers = dict({'Accept': 'application/json', 'User-Agent': 'edge-healer-test'}, **more)
        if self.user.get('token'):
            headers['Authorization'] = 'Bearer ' + self.user['token']
        return headers

    def call(self, method, path, body=None, ctype='application/json'):
        kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        c = kind(self.url.hostname, self.url.port, timeout=10, **({'context': self.tls} if self.tls else {}))
        headers = self.headers(**{'Content-Type': ctype})
        with contextlib.closing(c):
            c.request(method, path, None if body is None else json.dumps(body), headers)
            r = c.getresponse()
            data = r.read()
        try:
            return r.status, json.loads(data)
        except ValueError:
            return r.status, {'text': data.decode('utf8', 'replace')}

    def get(self, path):
        return self.call('GET', path)[1]

    def pods(self, ns, labels=''):
        return self.get('/api/v1/namespaces/%s/pods?labelSelector=%s' % (ns, urllib.parse.quote(labels)))['items']


class PodWatch:
    """Follows the pods of a namespace in a thread: `rows` grows by (wall time of arrival, ADDED|MODIFIED|DELETED, pod)."""

    def __init__(self, api, ns):
        self.rows = []
        path = '/api/v1/namespaces/%s/pods' % ns
        version = api.get(path)['metadata']['resourceVersion']
        kind = http.client.HTTPSConnection if api.tls else http.client.HTTPConnection
        self.conn = kind(api.url.hostname, api.url.port, timeout=600, **({'context': api.tls} if api.tls else {}))
        self.conn.request('GET', '%s?watch=1&resourceVersion=%s' % (path, version), headers=api.headers())
        threading.Thread(target=self._follow, args=(self.conn.getresponse(),), daemon=True).start()

    def _follow(self, response):
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            for line in response:
                event = json.loads(line)
                if event['type'] in ('ADDED', 'MODIFIED', 'DELETED'):
                    self.rows.append((time.time(), event['type'], event['object']))

    def seen(self, uid, check=lambda pod: True):
        """When the pod was first shown so that check(pod); None = not yet."""
        return next((t for t, kind, pod in list(self.rows)
                     if kind != 'DELETED' and pod['metadata']['uid'] == uid and check(pod)), None)


def levels(runs, wanted):
    """How many ran over time: [(from, to, count)] of pods of a Deployment; `to` of the last is None."""
    edges = sorted([(r['start'], 1) for r in runs if wanted(r)] + [(r['end'], -1) for r in runs if wanted(r) and r['end']])
    out, count = [], 0
    for i, (t, step) in enumerate(edges):
        count += step
        out.append((t, edges[i + 1][0] if i + 1 < len(edges) else None, count))
    return out


def longest(levels_, check, start, end):
    """The longest unbroken time within [start, end] in which check(count) held, in seconds."""
    best = run = 0.0
    for a, b, count in levels_:
        a, b = max(a, start), min(b or end, end)
        if b <= a:
            continue
        run = run + b - a if check(count) else 0.0
        best = max(best, run)
    return best


def is_ready(pod):
    return not pod['metadata'].get('deletionTimestamp') and pod.get('status', {}).get('phase') == 'Running' and any(
        c['type'] == 'Ready' and c['status'] == 'True' for c in pod.get('status', {}).get('conditions', []))


class Process:
    """A child with its output in a file."""

    def __init__(self, name, argv, log, env=None, stdin=None):
        self.name, self.log = name, log
        self.out = open(log, 'ab')
        self.p = subprocess.Popen(argv, stdout=self.out, stderr=self.out, stdin=stdin, preexec_fn=_die_with_parent,
                                  env=dict({k: v for k, v in os.environ.items() if k != BINARY_ENV}, **(env or {})))

    def text(self):
        with open(self.log, errors='replace') as f:
            return f.read()

    def line(self, prefix, seconds=15):
        """What follows `prefix` in its output, once it is there."""
        def look():
            if self.p.poll() is not None:
                raise AssertionError('%s ended early:\n%s' % (self.name, self.text()[-2000:]))
            for line in self.text().splitlines():
                if prefix in line:
                    return line.split(prefix, 1)[1].strip() or True
            return None
        return wait_for(look, seconds, '%s says "%s"' % (self.name, prefix))

    def kill(self, signo=signal.SIGKILL):
        if self.p.poll() is None:
            self.p.send_signal(signo)
            self.p.wait()

    def alive(self):
        return self.p.poll() is None


class Node:
    """One node of the site: serf, kubelet, healer, and its own way to the API server."""

    def __init__(self, cluster, index, name):
        self.cluster, self.index, self.name = cluster, index, name
        self.ip = cluster.net + str(10 + index)
        self.dir = os.path.join(cluster.dir, name)
        self.parts, self.deaths = {}, []     # deaths: wall times of power_off()
        os.makedirs(os.path.join(self.dir, 'manifests'), exist_ok=True)
        for sub in ('logs', 'data'):
            os.makedirs(os.path.join(self.dir, sub), exist_ok=True)
        self._make_cgroup()
        self.new_boot()

    def new_boot(self):
        with open(self.path('boot_id'), 'w') as f:
            f.write(str(uuid.uuid4()) + '\n')

    def _make_cgroup(self):
        """cgroupfs is in memory on a real node: here too where there is such a file system."""
        if os.access(MEMORY_FS, os.W_OK):
            self.memory = tempfile.mkdtemp(prefix='edge-healer-cgroup-', dir=MEMORY_FS)
            os.symlink(self.memory, self.path('cgroup'))
        else:
            self.memory = self.path('cgroup')
            os.makedirs(self.memory, exist_ok=True)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def _start(self, part, argv, env=None, stdin=None):
        self.parts[part] = Process('%s %s' % (part, self.name), argv, self.path(part + '.log'), env, stdin)
        return self.parts[part]

    # ---- the way to the API server ----

    def start_proxy(self):
        target = self.cluster.api.url
        p = self._start('proxy', [PYTHON, os.path.join(KUBESIM, 'proxy.py'), '--listen', self.ip + ':0', '--to',
                                  '%s:%d' % (target.hostname, target.port)], stdin=subprocess.PIPE)
        where = p.line('proxy: listening on ')
        self._write_kubeconfig(where)

    def _write_kubeconfig(self, where):
        api = self.cluster.api
        config = json.loads(json.dumps(api.config))
        for c in config['clusters']:
            u = urllib.parse.urlsplit(c['cluster']['server'])
            c['cluster']['server'] = '%s://%s' % (u.scheme, where)
            if u.scheme == 'https' and not c['cluster'].get('insecure-skip-tls-verify'):
                c['cluster'].setdefault('tls-server-name', u.hostname)
        with open(self.path('kubeconfig'), 'w') as f:
            json.dump(config, f, indent=1)

    def uplink(self, mode):
        """pass, refuse or blackhole."""
        p = self.parts['proxy']
        before = p.text().count('ok ' + mode)
        p.p.stdin.write((mode + '\n').encode())
        p.p.stdin.flush()
        wait_for(lambda: p.text().count('ok ' + mode) > before, 5, 'proxy of %s goes %s' % (self.name, mode))

    # ---- the parts ----

    def start_serf(self, join=None):
        argv = ['serf', 'agent', '-node=' + self.name, '-bind=%s:%d' % (self.ip, SERF_PORT),
                '-rpc-addr=%s:%d' % (self.ip, RPC_PORT), '-profile=' + self.cluster.profile]
        self._start('serf', argv + (['-retry-join=' + join, '-retry-interval=1s'] if join else []))

    def start_kubelet(self, *extra):
        argv = [PYTHON, os.path.join(KUBESIM, 'kubelet.py'), '--kubeconfig', self.path('kubeconfig'), '--node-name', self.name,
                '--node-ip', self.ip, '--root', self.dir, '--healthz', '%s:%d' % (self.ip, HEALTHZ_PORT),
                '--port', str(KUBELET_PORT), '--journal', self.path('journal.jsonl'),
                '--lease-seconds', str(10 / self.cluster.speed), '--status-seconds', str(10 / self.cluster.speed)]
        argv += ['--label', 'edge-healer.test/run=' + self.cluster.run_id] if self.cluster.run_id else []
        self._start('kubelet', argv + list(self.cluster.kubelet_args) + list(extra))

    def write_config(self):
        config = {
            'node': self.name,
            'log': {'level': self.cluster.log_level},
            'serf': {'rpc': '%s:%d' % (self.ip, RPC_PORT)},
            'kube': {'kubeconfig': self.path('kubeconfig')},
            'store': {'path': self.path('data', 'desired.db')},
            'http': {'listen': '%s:%d' % (self.ip, HTTP_PORT)},
            'kubelet': {'static_pod_path': self.path('manifests'), 'cgroup_root': self.path('cgroup'),
                        'pod_logs': self.path('logs'), 'port': KUBELET_PORT, 'boot_id_file': self.path('boot_id'),
                        'bundle_dir': self.path('bundles'),
                        'gate': 'off'},           # one network namespace for all: their gates would be one
            'heal': {'namespaces': self.cluster.namespaces},
            'reconcile': {},
        }
        for key, value in self.cluster.config.items():
            section, _, name = key.partition('.')
            if name:
                config.setdefault(section, {})[name] = value
            else:
                config[section] = value
        with open(self.path('edge-healer.yaml'), 'w') as f:
            json.dump({k: v for k, v in config.items() if v != {}}, f, indent=1)

    def start_healer(self):
        self.write_config()
        self._start('healer', [self.cluster.binary, 'agent', '--config', self.path('edge-healer.yaml')])

    # ---- looking ----

    def url(self, path=''):
        return 'http://%s:%d%s' % (self.ip, HTTP_PORT, path)

    def http(self, path):
        """The healer's answer: JSON for /v1, else text. None while it does not answer."""
        try:
            with urllib.request.urlopen(self.url(path), timeout=3) as r:
                text = r.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        return json.loads(text) if path.startswith('/v1') else text

    def history(self):
        """What the healer did, oldest first; [] while it does not answer."""
        return sorted(self.http('/v1/history?limit=1000') or [], key=lambda row: row['id'])

    def metric(self, series):
        for line in (self.http('/metrics') or '').splitlines():
            if line.startswith(series + ' '):
                return float(line.split()[-1])
        return None

    def manifests(self):
        return sorted(f for f in os.listdir(self.path('manifests')) if not f.startswith('.'))

    def journal(self):
        try:
            with open(self.path('journal.jsonl')) as f:
                return [json.loads(line) for line in f if line.endswith('\n')]
        except FileNotFoundError:
            return []

    def runs(self):
        """What ran here, by the kubelet's journal: ns, name, uid, orig (of a copy, else None), node, start, end (None = still)."""
        out, running = [], {}
        for e in sorted(self.journal() + [{'t': t, 'event': 'death'} for t in self.deaths], key=lambda e: e['t']):
            if e['event'] in ('running', 'recovered') and e['uid'] not in running:
                run = {'ns': e['ns'], 'name': e['name'], 'uid': e['uid'], 'orig': e.get('orig'), 'node': self.name,
                       'start': e['t'], 'end': None}
                running[e['uid']] = run
                out.append(run)
            elif e['event'] in ('stop', 'preempted') and e['uid'] in running:
                running.pop(e['uid'])['end'] = e['t']
            elif e['event'] == 'death':
                for run in running.values():
                    run['end'] = e['t']
                running = {}
        return out

    # ---- ends ----

    def power_off(self):
        """kill -9 of everything on it at once; its containers die with it. The proxy is not part of the node."""
        for part in ('serf', 'healer', 'kubelet'):
            if part in self.parts and self.parts[part].alive():
                self.parts[part].p.send_signal(signal.SIGKILL)
        for part in ('serf', 'healer', 'kubelet'):
            if part in self.parts:
                self.parts[part].p.wait()
        self.deaths.append(time.time())
        for name in os.listdir(self.memory):
            shutil.rmtree(os.path.join(self.memory, name), ignore_errors=True)

    def power_on(self):
        peers = [n for n in self.cluster.nodes if n is not self and n.parts['serf'].alive()]
        self.new_boot()
        self.start_serf('%s:%d' % (peers[0].ip, SERF_PORT) if peers else None)
        self.start_kubelet('--reboot')
        self.start_healer()


class Cluster:
    """with Cluster(...) as c: c.start(); ..."""

    def __init__(self, binary, nodes=3, kubeconfig=None, profile='lan', speed=1, scheduler=True, keep=False, config=None,
                 kubelet_args=(), log_level='info', names=None, ns='default', run_id=None):
        self.binary = os.path.abspath(binary)
        self.dir = tempfile.mkdtemp(prefix='edge-healer-')
        self.profile, self.speed, self.keep = profile, speed, keep
        self.config, self.kubelet_args, self.log_level = config or {}, kubelet_args, log_level
        self.scheduler, self.given_kubeconfig = scheduler, kubeconfig
        self.ns, self.run_id = ns, run_id    # its nodes are labelled with a run_id, its Deployments stay on them
        self.failed = False
        self.namespaces = ['*', '!kube-system']
        pid = os.getpid()
        self.net = '127.%d.%d.' % (1 + pid % 250, 1 + (pid // 250) % 250)
        self.kubesim = self.api = None
        self.nodes = [Node(self, i + 1, (names or ['node%d' % (k + 1) for k in range(nodes)])[i]) for i in range(nodes)]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind and issubclass(kind, Exception):
            self.failed = True
            self.show_logs()
            print('logs: ' + self.dir, file=sys.stderr)
        if not self.keep:
            self.stop()

    def start_api(self, *extra):
        if self.given_kubeconfig:
            self.api = Api(self.given_kubeconfig)
            return
        argv = [PYTHON, os.path.join(KUBESIM, 'apiserver.py'), '--listen', self.net + '1:0', '--speed', str(self.speed),
                '--write-kubeconfig', os.path.join(self.dir, 'kubeconfig')]
        argv += [] if self.scheduler else ['--no-scheduler']
        self.kubesim = Process('kubesim', argv + list(extra), os.path.join(self.dir, 'kubesim.log'))
        self.kubesim.line('kubesim: listening on ')
        self.api = Api(os.path.join(self.dir, 'kubeconfig'))

    def prepare(self):
        """What a kind of site needs in the API before its nodes start."""

    def start(self, *api_args):
        self.start_api(*api_args)
        self.prepare()
        for n in self.nodes:
            n.start_proxy()
        for n in self.nodes:
            n.start_serf(None if n is self.nodes[0] else '%s:%d' % (self.nodes[0].ip, SERF_PORT))
            n.start_kubelet()
        for n in self.nodes:
            n.parts['kubelet'].line('kubelet %s: ready' % n.name)
        for n in self.nodes:
            n.start_healer()
        self.wait_whole()

    def wait_whole(self, seconds=90):
        """A tag that gossip lost comes with serf's next full sync: up to 15 s (local profile) or 30 s (lan) later, now and then twice.

        Every living healer is ready, in sync, and sees every living node able to bid."""
        alive = [n for n in self.nodes if n.parts.get('healer') and n.parts['healer'].alive()]

        def whole():
            for n in alive:
                healer = n.parts['healer']
                assert healer.alive(), 'the healer of %s ended: %s' % (n.name, healer.text()[-300:].strip() or 'no output')
                status, members = n.http('/v1/status'), n.http('/v1/members')
                if not status or not members or status['link']['state'] != 'online' or not status['mirror']['inSync']:
                    return False
                can = {m['node'] for m in members if m['canBid'] and m['api']}
                if not {x.name for x in alive} <= can:
                    return False
            return True
        wait_for(whole, seconds, 'all healers in sync and able to bid')

    def living(self):
        return [n for n in self.nodes if n.parts['healer'].alive()]

    def node(self, name):
        return next(n for n in self.nodes if n.name == name)

    def cut_uplink(self, mode='refuse'):
        for n in self.nodes:
            n.uplink(mode)

    def mend_uplink(self):
        for n in self.nodes:
            n.uplink('pass')

    # ---- workloads ----

    def deploy(self, name, replicas, ns=None, cpu='100m', spec=None, annotations=None):
        ns = ns or self.ns
        template = {'metadata': {'labels': {'app': name}, 'annotations': annotations or {}},
                    'spec': {'terminationGracePeriodSeconds': 1, 'containers': [{
                        'name': 'c', 'image': IMAGE, 'command': ['/bin/sleep', '100000'],
                        'resources': {'requests': {'cpu': cpu, 'memory': '16Mi'}}}]}}
        if self.run_id and self.given_kubeconfig:   # other nodes may be there
            template['spec']['nodeSelector'] = {'edge-healer.test/run': self.run_id}
        template['spec'].update(spec or {})
        code, body = self.api.call('POST', '/apis/apps/v1/namespaces/%s/deployments' % ns, {
            'apiVersion': 'apps/v1', 'kind': 'Deployment', 'metadata': {'name': name, 'namespace': ns},
            'spec': {'replicas': replicas, 'selector': {'matchLabels': {'app': name}}, 'template': template}})
        assert code == 201, body

    def own_pods(self, name, ns=None):
        """The Deployment's pods in the API, without mirror pods of copies."""
        return [p for p in self.api.pods(ns or self.ns, 'app=' + name)
                if 'kubernetes.io/config.mirror' not in p['metadata'].get('annotations', {})]

    def wait_ready(self, name, replicas, ns=None, seconds=30):
        def ready():
            pods = [p for p in self.own_pods(name, ns) if is_ready(p)]
            return pods if len(pods) == replicas else None
        return wait_for(ready, seconds, '%d pods of %s ready' % (replicas, name))

    def copies(self):
        """Claims of copies as the nodes that hold them tell: [(node, claim)]."""
        out = []
        for n in self.living():
            out += [(n, c) for c in n.http('/v1/claims') or [] if c.get('copy')]
        return out

    def runs(self, ns=None):
        return sorted((r for n in self.nodes for r in n.runs() if r['ns'] == (ns or self.ns)), key=lambda r: r['start'])

    def show_logs(self, lines=25):
        for n in self.nodes:
            for part in ('healer', 'kubelet'):
                if part in n.parts:
                    text = n.parts[part].text().splitlines()[-lines:]
                    print('--- %s %s\n%s' % (n.name, part, '\n'.join(text)), file=sys.stderr)

    def stop(self):
        for n in self.nodes:
            for p in n.parts.values():
                p.kill()
        if self.kubesim:
            self.kubesim.kill()
        if not self.failed:           # else the logs are wanted
            shutil.rmtree(self.dir, ignore_errors=True)
            for n in self.nodes:
                shutil.rmtree(n.memory, ignore_errors=True)
