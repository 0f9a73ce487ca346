"""What the end-to-end tests stand on: a site for each test, and the questions they ask of it.

A test is a function `test_NAME(c)` marked @stage(...). It must hold against kubesim and against a real control plane alike: it asks
the API, the healers' /v1 and the kubelets' journals only, waits on conditions, and takes its patience from c.patience, which is
longer where nodes are lost at the real speed.
"""
import contextlib
import datetime
import functools
import os
import sys
import time
import urllib.parse
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'rig'))
from cluster import Cluster, is_ready, levels, longest, wait_for  # noqa: E402,F401
from suite import Skip  # noqa: E402,F401
import shim  # noqa: E402

ACTIONS = ('won bid', 'manifest written', 'manifest not written', 'restored', 'handed over', 'withdrawn', 'lost pod deleted')
# For tests with many healers on few cores that count copies: one may be told of a loss 2 s after another (seen), and
# its claim comes as much later. With the default of 0.5 s the next rank acts meanwhile, rightly, and both run for a moment.
CLAIMS_COME_LATE = {'heal.claim_timeout': '2s'}
LEASE_FRESH = 30                             # seconds; a live scheduler renews every 2


def stage(**options):
    def mark(fn):
        @functools.wraps(fn)
        def run(binary, kubeconfig):
            with Stage(binary, kubeconfig, **options) as c:
                c.start()
                fn(c)
        run.is_test, run.nodes = True, options.get('nodes', 3)
        return run
    return mark


class Stage(Cluster):
    def __init__(self, binary, kubeconfig, nodes=3, scheduler=True, speed=10, config=None, profile='local', shimmed=False, **more):
        run = uuid.uuid4().hex[:6]
        self.shimmed = shimmed               # its healers run with rig/shim.c
        super().__init__(binary, nodes, kubeconfig=kubeconfig, profile=profile, speed=1 if kubeconfig else speed,
                         scheduler=scheduler, config=dict({'kube.offline_after': '1s'}, **config or {}),
                         names=['eh-%s-%d' % (run, i + 1) for i in range(nodes)], ns='eh-' + run, run_id=run, **more)
        self.namespaces = [self.ns]
        self.patience = 150 if kubeconfig else 45

    def healer_env(self, node):
        if not self.shimmed:
            return {}
        library = shim.build(self.dir)
        if not library:
            raise Skip('no C compiler: the healer cannot be given another clock or machine')
        return shim.env(library, node)

    # ---- the cluster around it ----

    def scheduler_runs(self):
        code, lease = self.api.call('GET', '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler')
        renewed = lease.get('spec', {}).get('renewTime') if code == 200 else None
        if not renewed:
            return False
        at = datetime.datetime.strptime(renewed.rstrip('Z')[:26], '%Y-%m-%dT%H:%M:%S.%f').replace(tzinfo=datetime.timezone.utc)
        return time.time() - at.timestamp() < LEASE_FRESH

    def prepare(self):
        if not self.scheduler and self.scheduler_runs():
            raise Skip('this cluster has a scheduler: unbound pods are its work')
        code, body = self.api.call('POST', '/api/v1/namespaces', {
            'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': self.ns}})
        assert code == 201, body
        account = '/api/v1/namespaces/%s/serviceaccounts/default' % self.ns
        with contextlib.suppress(AssertionError):    # without it a real control plane refuses pods
            wait_for(lambda: self.api.call('GET', account)[0] == 200, 10, 'the default ServiceAccount')

    def stop(self):
        if self.api:
            with contextlib.suppress(OSError):
                self._clean_api()
        super().stop()

    def _clean_api(self):
        """A test leaves nothing behind in a cluster that outlives it."""
        if not self.given_kubeconfig:
            return
        self.api.call('DELETE', '/api/v1/namespaces/' + self.ns)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not self.api.pods(self.ns) or all(p['metadata'].get('deletionTimestamp') for p in self.api.pods(self.ns)),
                     15, 'pods of the namespace to be deleted')
        for n in self.nodes:
            self.api.call('DELETE', '/api/v1/nodes/' + n.name)
        for p in self.api.pods(self.ns):
            self.api.call('DELETE', '/api/v1/namespaces/%s/pods/%s?gracePeriodSeconds=0' % (self.ns, p['metadata']['name']))

    # ---- workloads ----

    def run_web(self, name='web', replicas=6, **more):
        """A Deployment, all of it Ready. Placed by the scheduler, else by the healers, else (they only observe) by hand."""
        self.deploy(name, replicas, **more)
        if self.config.get('mode') == 'observe' and not self.scheduler_runs():
            pods = wait_for(lambda: len(self.own_pods(name)) == replicas and self.own_pods(name), 20, 'pods of ' + name)
            for i, p in enumerate(pods):
                self.api.call('POST', '/api/v1/namespaces/%s/pods/%s/binding' % (self.ns, p['metadata']['name']), {
                    'apiVersion': 'v1', 'kind': 'Binding', 'metadata': {'name': p['metadata']['name']},
                    'target': {'apiVersion': 'v1', 'kind': 'Node', 'name': self.nodes[i % len(self.nodes)].name}})
        return self.wait_ready(name, replicas)

    def create(self, kind, path, name, **fields):
        code, body = self.api.call('POST', '/api/v1/namespaces/%s/%s' % (self.ns, path), dict(
            {'apiVersion': 'v1', 'kind': kind, 'metadata': {'name': name}}, **fields))
        assert code == 201, body

    def scale(self, name, replicas):
        code, body = self.api.call('PATCH', '/apis/apps/v1/namespaces/%s/deployments/%s' % (self.ns, name),
                                   {'spec': {'replicas': replicas}}, 'application/merge-patch+json')
        assert code == 200, body

    def delete_deployment(self, name):
        code, body = self.api.call('DELETE', '/apis/apps/v1/namespaces/%s/deployments/%s?propagationPolicy=Background' % (
            self.ns, name))
        assert code == 200, body

    def wait_mirrored(self, uids):
        """Every living healer has these pods in its mirror as they run now."""
        def known(n):
            pods = {p['uid']: p for p in n.http('/v1/pods?namespace=' + urllib.parse.quote(self.ns)) or []}
            return all(u in pods and pods[u].get('node') and pods[u]['phase'] == 'Running' for u in uids)
        wait_for(lambda: all(known(n) for n in self.living()), 20, 'all healers know the pods')

    # ---- the outage ----

    def wait_link(self, state, seconds=20):
        wait_for(lambda: all((n.http('/v1/status') or {}).get('link', {}).get('state') == state for n in self.living()), seconds,
                 'the link of all healers is ' + state)

    def offline(self, mode='refuse'):
        self.wait_mirrored([p['metadata']['uid'] for p in self.api.pods(self.ns) if is_ready(p)])
        self.cut_uplink(mode)
        self.wait_link('offline')

    def mend(self):
        self.mend_uplink()
        self.wait_link('online')

    def pods_on(self, node, name='web'):
        """uids of the Deployment's pods there."""
        return [p['metadata']['uid'] for p in self.own_pods(name) if p['spec'].get('nodeName') == node.name]

    def busiest(self, name='web'):
        return max(self.nodes, key=lambda n: len(self.pods_on(n, name)))

    def lose(self, node, name='web'):
        lost = self.pods_on(node, name)
        assert lost, 'no pod of %s on %s' % (name, node.name)
        node.power_off()
        return lost

    # ---- copies ----

    def copy_runs(self, uid):
        return [r for r in self.runs() if r['orig'] == uid]

    def wait_copies(self, lost, seconds=60):
        """Each lost pod runs exactly once as a copy, by the journals and by what the healers tell, with one file each."""
        def settled():
            told = [(c['uid'], n.name) for n, c in self.copies() if c['copy'] == 'running' and c['uid'] in lost]
            ran = [(r['orig'], r['node']) for r in self.runs() if r['orig'] in lost and not r['end']]
            return sorted(told) == sorted(ran) and sorted(u for u, _ in ran) == sorted(lost) and dict(ran)
        return wait_for(settled, seconds, 'each of the %d lost pods runs once as a copy' % len(lost))

    def files(self):
        return [(n.name, f) for n in self.living() for f in n.manifests()]

    def assert_never_crowded(self, lost, most=2):
        """Never more than one extra copy of a pod, and none once settled."""
        for uid in lost:
            top = max([count for _, _, count in levels(self.runs(), lambda r, uid=uid: r['orig'] == uid)] or [0])
            assert top < most, 'pod %s ran %d times at once as a copy' % (uid, top)

    def assert_no_hole(self, wanted, since):
        """Make before break: never fewer than wanted, counted over all that ran in the namespace."""
        runs, now = self.runs(), time.time()
        hole = longest(levels(runs, lambda r: True), lambda count: count < wanted, since, now)
        assert hole == 0, 'for %.3f s fewer than %d ran: %s' % (hole, wanted, runs)

    def wait_handover(self, name='web', replicas=6):
        """The ReplicaSet is whole on living nodes and nothing of ours is left: no file, no running copy, no row."""
        alive = {n.name for n in self.living()}

        def over():
            own = [p for p in self.own_pods(name) if is_ready(p) and p['spec']['nodeName'] in alive] if replicas else []
            return (len(own) == replicas and not self.copies() and not self.files() and
                    not any(r['orig'] and not r['end'] for r in self.runs() if r['node'] in alive))
        wait_for(over, self.patience + 30, 'handed over: %d own pods of %s ready, no copy left' % (replicas, name))

    def rows(self, *events, nodes=None):
        return [dict(h, by=n.name) for n in nodes or self.living() for h in n.history() if not events or h['event'] in events]

    def done(self):
        """All that was ever done about pods: history, files, starts from files, claims."""
        out = ['%s: %s %s' % (h['by'], h['event'], h.get('pod')) for h in self.rows(*ACTIONS)]
        out += ['%s: file %s' % f for f in self.files()]
        out += ['%s: ran %s' % (r['node'], r['name']) for r in self.runs() if r['orig']]
        return out + ['%s: claim %s' % (n.name, c['uid']) for n in self.living() for c in n.http('/v1/claims') or []]

    def nothing_happens(self, seconds, since=()):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            more = [x for x in self.done() if x not in since]
            assert not more, 'something was done: %s' % more
            time.sleep(0.5)

    def suspect(self, by, node):
        return next((s for s in (by.http('/v1/status') or {}).get('suspects', []) if s['node'] == node.name), None)


def errors(process):
    """The lines of its log at level error."""
    return [line for line in process.text().splitlines() if line.split()[1:2] == ['error']]


def check_healthy(c):
    """No healer died or complained of an internal error."""
    for n in c.living():
        bad = errors(n.parts['healer'])
        assert not bad, '%s: %s' % (n.name, bad[0])
