"""One node of a site: its parts, its files, what its healer tells and what its kubelet wrote down."""
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import uuid

import runs
from apiclient import KUBESIM
from process import PYTHON, Process, wait_for

SERF_PORT, RPC_PORT, KUBELET_PORT, HEALTHZ_PORT, HTTP_PORT = 7946, 7373, 10250, 10248, 8000
PROXY_PORT = 6443                        # no ephemeral one: a client could hold it when the proxy listens again after `refuse`
MEMORY_FS = '/dev/shm'


class Node:
    """One node of the site: serf, kubelet, healer, and its own way to the API server."""
    healer_rpc = None                        # None: its serf agent's
    healer_kubeconfig = None                 # None: kubelet's
    gate = 'off'                             # one network namespace for all: their gates would be one

    def __init__(self, cluster, index, name):
        self.cluster, self.index, self.name = cluster, index, name
        self._take_addresses()
        self.dir = os.path.join(cluster.dir, name)
        self.parts, self.deaths = {}, []     # deaths: wall times of power_off()
        os.makedirs(os.path.join(self.dir, 'manifests'), exist_ok=True)
        for sub in ('logs', 'data'):
            os.makedirs(os.path.join(self.dir, sub), exist_ok=True)
        self._new_boot_id()
        self._make_cgroup()

    def _take_addresses(self):
        """Its address, and where its parts listen: all nodes share one network, so all of it is on the node's address."""
        self.ip = self.cluster.net + str(10 + self.index)
        self.rpc, self.healthz, self.listen = ('%s:%d' % (self.ip, port) for port in (RPC_PORT, HEALTHZ_PORT, HTTP_PORT))

    def move(self, number):
        """Another address: what starts from now on has it. Its way to the API server stays where it is."""
        self.ip = self.cluster.net + str(number)
        self.rpc, self.healthz, self.listen = ('%s:%d' % (self.ip, port) for port in (RPC_PORT, HEALTHZ_PORT, HTTP_PORT))

    @property
    def host(self):
        """Its address as it stands before a port."""
        return '[%s]' % self.ip if ':' in self.ip else self.ip

    def wrap(self, argv):
        """The command that runs argv on this node."""
        return argv

    def connection(self):
        """To its healer."""
        return http.client.HTTPConnection(self.ip, HTTP_PORT, timeout=3)

    def _make_cgroup(self):
        """cgroupfs is in memory on a real node: here too where there is such a file system."""
        if os.access(MEMORY_FS, os.W_OK):
            self.memory = tempfile.mkdtemp(prefix='edge-healer-cgroup-' + self.cluster.mark, dir=MEMORY_FS)
            os.symlink(self.memory, self.path('cgroup'))
        else:
            self.memory = self.path('cgroup')
            os.makedirs(self.memory, exist_ok=True)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def _start(self, part, argv, env=None, stdin=None):
        self.parts[part] = Process('%s %s' % (part, self.name), self.wrap(argv), self.path(part + '.log'), env, stdin)
        return self.parts[part]

    # ---- the way to the API server ----

    def start_proxy(self):
        target = self.cluster.api.url
        p = self._start('proxy', [PYTHON, os.path.join(KUBESIM, 'proxy.py'), '--listen', '%s:%d' % (self.ip, PROXY_PORT), '--to',
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

    def write_healer_kubeconfig(self, where, server_name=None):
        """A kubeconfig of the healer's own, in place if it is there: the same API server at HOST:PORT."""
        with open(self.path('kubeconfig')) as f:
            config = json.load(f)
        cluster = config['clusters'][0]['cluster']
        cluster['server'] = '%s://%s' % (urllib.parse.urlsplit(cluster['server']).scheme, where)
        if server_name:
            cluster['tls-server-name'] = server_name
        self.healer_kubeconfig = self.path('healer-kubeconfig')
        with open(self.healer_kubeconfig, 'w') as f:
            json.dump(config, f, indent=1)

    def restart_healer(self, env=None):
        self.parts['healer'].kill(signal.SIGTERM)
        self.start_healer(env)

    def uplink(self, mode):
        """pass, refuse or blackhole."""
        p = self.parts['proxy']
        before = p.text().count('ok ' + mode)
        p.say(mode)
        wait_for(lambda: p.text().count('ok ' + mode) > before, 5, 'proxy of %s goes %s' % (self.name, mode))

    # ---- the parts ----

    def start_serf(self, join=None, *extra):
        argv = ['serf', 'agent', '-node=' + self.name, '-bind=%s:%d' % (self.host, SERF_PORT),
                '-rpc-addr=' + self.rpc, '-profile=' + self.cluster.profile]
        self._start('serf', argv + (['-retry-join=' + join, '-retry-interval=1s'] if join else []) + list(extra))

    def start_kubelet(self, *extra):
        argv = [PYTHON, os.path.join(KUBESIM, 'kubelet.py'), '--kubeconfig', self.path('kubeconfig'), '--node-name', self.name,
                '--node-ip', self.ip, '--root', self.dir, '--healthz', self.healthz,
                '--port', str(KUBELET_PORT), '--journal', self.path('journal.jsonl'),
                '--lease-seconds', str(10 / self.cluster.speed), '--status-seconds', str(10 / self.cluster.speed)]
        argv += ['--label', 'edge-healer.test/run=' + self.cluster.run_id] if self.cluster.run_id else []
        self._start('kubelet', argv + list(self.cluster.kubelet_args) + list(extra))

    def write_config(self):
        config = {
            'node': self.name,
            'log': {'level': self.cluster.log_level},
            'serf': {'rpc': self.healer_rpc or self.rpc},
            'kube': {'kubeconfig': self.healer_kubeconfig or self.path('kubeconfig')},
            'store': {'path': self.path('data', 'desired.db')},
            'http': {'listen': self.listen, 'socket': self.path('healer.sock')},
            'kubelet': {'static_pod_path': self.path('manifests'), 'cgroup_root': self.path('cgroup'),
                        'pod_logs': self.path('logs'), 'port': KUBELET_PORT, 'boot_id_file': self.path('boot_id'),
                        'bundle_dir': self.path('bundles'), 'gate': self.gate, 'kubeconfig': self.path('kubeconfig'), 'healthz': 'http://%s/healthz' % self.healthz},
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

    def start_healer(self, env=None):
        """env: EDGE_HEALER_FAULT=name arms the point (include/base/faults.def) at which it kills itself."""
        self.write_config()
        self._start('healer', [self.cluster.binary, 'agent', '--config', self.path('edge-healer.yaml')],
                    dict(self.cluster.healer_env(self), **(env or {})))

    # ---- looking ----

    def url(self, path=''):
        return 'http://%s:%d%s' % (self.host, HTTP_PORT, path)

    def ask(self, path):
        """(status, text) of the healer's answer; (None, '') while it does not answer."""
        try:
            c = self.connection()
            with contextlib.closing(c):
                c.request('GET', path or '/')
                r = c.getresponse()
                return r.status, r.read().decode()
        except (OSError, http.client.HTTPException):
            return None, ''

    def http(self, path):
        """The healer's answer: JSON for /v1, all pages of a list as one; else text. None while it does not answer, or with an error."""
        items, token = [], ''
        while True:
            status, text = self.ask(path + (('&' if '?' in path else '?') + 'continue=' + token if token else ''))
            if status == 429:                # somebody else has a large answer now
                time.sleep(0.2)
                continue
            if status is None or status >= 400:
                return None
            if not path.startswith('/v1'):
                return text
            answer = json.loads(text)
            if 'items' not in answer:
                return answer
            items += answer['items']
            token = answer['metadata'].get('continue')
            if not token:
                return items

    def flood(self, kind, count, *args, to=None):
        """A process of rig/flood.py that runs until its end(); on this node, against its healer on loopback unless told."""
        name = 'flood-%s-%d' % (kind, len(self.parts))
        p = self._start(name, [PYTHON, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'flood.py'), kind, str(count), '--to',
                               to or self.loopback()] + list(args), stdin=subprocess.PIPE)
        p.line('ready', 60)
        return p

    def flood_gossip(self, kind, rate, sender):
        """Its healer again, with rig/gossip_flood.py before its agent; it floods from p.say('on') to p.say('off')."""
        host, port = self.rpc.rsplit(':', 1)
        self.healer_rpc = '%s:%d' % (host, int(port) + 1)
        p = self._start('gossip', [PYTHON, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'gossip_flood.py'), kind, str(rate),
                                   '--listen', self.healer_rpc, '--to', self.rpc, '--node', sender], stdin=subprocess.PIPE)
        p.line('ready')
        self.parts['healer'].kill(15)
        self.start_healer()
        return p

    def loopback(self):
        """Where this node's own processes reach its healer."""
        return '%s:%d' % (self.ip, HTTP_PORT)

    def view(self):
        """(is its healer online and in sync, the nodes that it sees able to bid)"""
        healer = self.parts['healer']
        assert healer.alive(), 'the healer of %s ended: %s' % (self.name, healer.text()[-300:].strip() or 'no output')
        status, members = self.http('/v1/status'), self.http('/v1/members')
        ready = bool(status and members and status['link']['state'] == 'online' and status['mirror']['inSync'])
        return ready, {m['node'] for m in members or [] if m['canBid'] and m['api']}

    def sync_with(self, peer):
        """The two serf agents exchange all they know."""
        subprocess.run(self.wrap(['serf', 'join', '-rpc-addr=' + self.rpc, '%s:%d' % (peer.host, SERF_PORT)]), stdout=subprocess.DEVNULL)

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
        """What ran here: see runs.of_journal."""
        return runs.of_journal(self.journal() + [{'t': t, 'event': 'death'} for t in self.deaths], self.name)

    # ---- ends ----

    def kubelet_control(self, line):
        """A line of test/kubesim/kubelet_control.py."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path('control'))
            s.sendall(line.encode() + b'\n')
            answer = s.recv(1000).decode().strip()
        assert answer == 'ok', '%s: %s: %s' % (self.name, line, answer)

    def vanish(self, pod):
        """A pod (of the API) is gone from this node, and its kubelet does not bring it back."""
        self.kubelet_control('vanish %s %s' % (pod['metadata']['namespace'], pod['metadata']['name']))

    def _new_boot_id(self):
        """Before anything starts: on a real node the kernel has it first."""
        with open(self.path('boot_id'), 'w') as f:
            f.write('%s\n' % uuid.uuid4())

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

    def power_on(self, healer_env=None):
        """After power_off(): a new boot, with no container left."""
        self._new_boot_id()
        peers = [n for n in self.cluster.nodes if n is not self and n.parts['serf'].alive()]
        self.start_serf('%s:%d' % (peers[0].host, SERF_PORT) if peers else None)
        self.start_kubelet()
        self.start_healer(healer_env)
