"""A site on this machine, for the demo, the end-to-end tests and the benchmarks.

Real serf agents and real edge-healers, simulated kubelets, and an API server: kubesim, or with a kubeconfig any real control
plane. Each node has an address of its own in 127.0.0.0/8 and reaches the API server through a TCP proxy of its own, which can
refuse or swallow: that is how a test cuts the API server off, the same way for kubesim and for a real one.
"""
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

from apiclient import KUBESIM, Api, PodWatch, is_ready  # noqa: F401 (what tests take from here)
from node import HTTP_PORT, SERF_PORT, Node  # noqa: F401
from process import DISCARD_ENV, PYTHON, Process, wait_for  # noqa: F401
from runs import levels, longest, most  # noqa: F401

IMAGE = 'localhost/busybox:1'
HURRY_AFTER = 2.5                        # seconds; a healer writes its tags at most every two


class Cluster:
    """with Cluster(...) as c: c.start(); ..."""
    Node = Node
    mark = ''                                # in the names of what it leaves outside its folder

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
        self.kubesim = self.api = None
        self._make_network()
        self.nodes = [self.Node(self, i + 1, (names or ['node%d' % (k + 1) for k in range(nodes)])[i]) for i in range(nodes)]

    def _make_network(self):
        """Nodes are addresses of 127.0.0.0/8, other ones for each process."""
        pid = os.getpid()
        self.net = '127.%d.%d.' % (1 + pid % 250, 1 + (pid // 250) % 250)
        self.api_listen = self.net + '1:0'
        # nobody listens at these: with the true address in the cluster's own list a healer would go round its proxy
        self.api_addresses = ['--service-ip', self.net + '2', '--advertise', self.net + '3:6443']

    def healer_env(self, node):
        """More environment for the healer of a node."""
        return {}

    def within(self):
        """Where the tests' own connections to the API server are opened."""
        return contextlib.nullcontext()

    def api_wrap(self, argv):
        """The command that runs argv where the API server lives."""
        return argv

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind and issubclass(kind, Exception):
            self.show_logs()
            if DISCARD_ENV not in os.environ:
                self.failed = True
                print('logs: ' + self.dir, file=sys.stderr)
        if not self.keep:
            self.stop()

    def start_api(self, *extra):
        if self.given_kubeconfig:
            self.api = Api(self.given_kubeconfig, self.within)
            return
        argv = [PYTHON, os.path.join(KUBESIM, 'apiserver.py'), '--listen', self.api_listen, '--speed', str(self.speed),
                '--write-kubeconfig', os.path.join(self.dir, 'kubeconfig')]
        argv += self.api_addresses + ([] if self.scheduler else ['--no-scheduler'])
        self.kubesim = Process('kubesim', self.api_wrap(argv + list(extra)), os.path.join(self.dir, 'kubesim.log'))
        self.kubesim.line('kubesim: listening on ')
        self.api = Api(os.path.join(self.dir, 'kubeconfig'), self.within)

    def prepare(self):
        """What a kind of site needs in the API before its nodes start."""

    def start(self, *api_args):
        self.start_api(*api_args)
        self.prepare()
        for n in self.nodes:
            n.start_proxy()
        for n in self.nodes:
            n.start_serf(None if n is self.nodes[0] else '%s:%d' % (self.nodes[0].host, SERF_PORT))
            n.start_kubelet()
        for n in self.nodes:
            n.parts['kubelet'].line('kubelet %s: ready' % n.name)
        for n in self.nodes:
            n.start_healer()
        self.wait_whole(hurry=True)

    def wait_whole(self, seconds=90, hurry=False):
        """Every living healer is ready, in sync, and sees every living node able to bid.

        A tag that gossip lost comes with serf's next full sync: up to 15 s (local profile) or 30 s (lan) later, now and then twice.
        hurry: who lacks one asks for it (a join is a full sync), so that a site need not wait for that before its test begins.
        """
        alive = [n for n in self.nodes if n.parts.get('healer') and n.parts['healer'].alive()]
        names, asked = {x.name for x in alive}, [time.monotonic() + HURRY_AFTER]

        def whole():
            views = {n: n.view() for n in alive}
            if hurry and time.monotonic() > asked[0]:
                asked[0] = time.monotonic() + HURRY_AFTER
                for n, (ready, can) in views.items():
                    for peer in [x for x in alive if x is not n and x.name not in can]:
                        n.sync_with(peer)
            return all(ready and names <= can for ready, can in views.values())
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
