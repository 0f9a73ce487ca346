"""The standby: an agent that waits for the place of the DaemonSet's, takes it when that is gone and gives it back."""
import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import urllib.parse

from cluster import IMAGE, Process
from killed import open_intents
from stage import Skip, errors, stage, wait_for

STORE = 'desired.db'
FILE = 'edge-healer-standby.json'
MIB = 1024


def start_standby(c, n, env=None):
    n.parts['standby'] = Process('standby ' + n.name, [c.binary, 'agent', '--standby', '--config', n.path('edge-healer.yaml')],
                                 n.path('standby.log'), env)
    n.parts['standby'].line('standby waits')
    return n.parts['standby']


def start_hold(c, n):
    n.parts['hold'] = Process('hold ' + n.name, [c.binary, 'hold', '--lock', n.path('data', STORE + '.standby'), '--', 'sleep', '1000'],
                              n.path('hold.log'))
    return n.parts['hold']


def children(p):
    with contextlib.suppress(FileNotFoundError):
        with open('/proc/%d/task/%d/children' % (p.p.pid, p.p.pid)) as f:
            return f.read().split()
    return []


def role(n):
    return (n.http('/v1/status') or {}).get('role')


def wait_role(n, wanted, seconds):
    began = time.monotonic()
    wait_for(lambda: role(n) == wanted, seconds, 'the role of %s is %s' % (n.name, wanted))
    return time.monotonic() - began


def kib(p):
    """What waits costs: memory that nobody shares, and its share of the rest."""
    with open('/proc/%d/smaps_rollup' % p.p.pid) as f:
        rows = {line.split(':')[0]: int(line.split()[1]) for line in f if line.split(':')[0] in ('Private_Dirty', 'Private_Clean', 'Pss', 'Rss')}
    return rows


def is_sanitized(p):
    """A sanitizer keeps books of its own: what such a binary takes says nothing."""
    with open('/proc/%d/maps' % p.p.pid) as f:
        return any('libasan' in line or 'libubsan' in line for line in f)


def check_small(p):
    if is_sanitized(p):
        print('SKIP: memory of %s: it is built with a sanitizer' % p.name)
        return
    def small():
        m = kib(p)
        return m['Private_Dirty'] + m['Private_Clean'] < 2 * MIB and m
    m = wait_for(small, 5, '%s has less than 2 MiB of its own' % p.name)
    print('%s waits with %s KiB' % (p.name, m))


class Seats(threading.Thread):
    """Who holds the lock of the store, by the kernel: never two. A read of /proc/locks is no snapshot (a list for each CPU): a lock
    that changes hands meanwhile can show twice, so only what two reads in a row show counts."""

    def __init__(self, n):
        super().__init__(daemon=True)
        st = os.stat(n.path('data', STORE + '.lock'))
        self.place = '%02x:%02x:%d' % (os.major(st.st_dev), os.minor(st.st_dev), st.st_ino)
        self.seen, self.doubles, self.over = set(), [], False
        self.start()

    def holders(self):
        with open('/proc/locks') as f:
            return {row[4] for row in map(str.split, f) if row[1] == 'FLOCK' and row[5] == self.place}

    def run(self):
        before = set()
        while not self.over:
            now = self.holders()
            self.seen |= now
            if len(now & before) > 1:
                self.doubles.append(sorted(now & before))
            before = now
            time.sleep(0.005)


@stage(nodes=1)
def test_takes_over_and_gives_back(c):
    n = c.nodes[0]
    standby, hold = start_standby(c, n), start_hold(c, n)
    seats = Seats(n)
    assert role(n) == 'primary'
    time.sleep(1)
    assert not children(hold), 'nothing is started while the primary is there'
    check_small(standby)
    check_small(hold)
    for _ in range(3):
        n.parts['healer'].kill()
        took = wait_role(n, 'standby', 5)
        print('the standby answers %.0f ms after kill -9' % (took * 1000))
        assert took < 1, took
        wait_for(lambda: children(hold), 2, 'what belongs to the standby runs')
        assert n.metric('edge_healer_standby_active') == 1
        n.start_healer()
        back = wait_role(n, 'primary', 5)
        print('the primary answers %.0f ms after its start' % (back * 1000))
        wait_for(lambda: not children(hold), 2, 'what belongs to the standby has stopped')
        assert n.metric('edge_healer_standby_active') == 0
        assert standby.alive() and hold.alive()
        check_small(standby)
    seats.over = True
    seats.join()
    assert not seats.doubles, 'two agents had the store at once: %s' % seats.doubles
    assert len(seats.seen) == 5, 'the first primary, its three successors, one standby: %s' % seats.seen
    events = [h['event'] for h in n.history() if h['event'].startswith('standby')]
    assert events == ['standby took over', 'standby yields'] * 3, events
    assert not errors(n.parts['healer']) and not errors(standby)


@stage(nodes=1)
def test_a_killed_standby_leaves_the_seat_and_a_gap_of_a_restart_is_no_gap(c):
    n = c.nodes[0]
    standby, hold = start_standby(c, n), start_hold(c, n)
    n.parts['healer'].kill()
    n.start_healer()                  # a container that is restarted: within the grace
    wait_role(n, 'primary', 5)
    assert not [h for h in n.history() if h['event'].startswith('standby')], 'the standby did not come in between'
    n.parts['healer'].kill()
    wait_role(n, 'standby', 5)
    wait_for(lambda: children(hold), 2, 'what belongs to the standby runs')
    standby.kill()
    wait_for(lambda: not children(hold), 2, 'its companion stops with it')
    n.start_healer()
    assert wait_role(n, 'primary', 5) < 1, 'nothing is left to wait for'
    start_standby(c, n)
    n.parts['healer'].kill()
    wait_role(n, 'standby', 5)
    n.parts['standby'].kill(signal.SIGTERM)
    assert n.parts['standby'].p.returncode == 0


@stage(nodes=1)
def test_one_store_has_one_agent(c):
    n = c.nodes[0]
    pid = n.parts['healer'].p.pid
    second = Process('second', [c.binary, 'agent', '--config', n.path('edge-healer.yaml')], n.path('second.log'))
    assert second.p.wait(10) == 1
    assert 'another agent is there' in second.text() and 'pid=%d' % pid in second.text(), second.text()
    assert role(n) == 'primary'


@stage()
def test_copies_pass_from_the_primary_to_the_standby_and_back(c):
    c.run_web(replicas=6)
    c.offline()
    victim = c.busiest()
    lost = c.lose(victim)
    where = c.wait_copies(lost)
    holder = c.node(where[lost[0]])
    before = [(r['uid'], r['node']) for r in c.runs() if r['orig']]
    start_standby(c, holder)
    holder.parts['healer'].kill()
    wait_role(holder, 'standby', 5)
    held = {x['uid'] for x in holder.http('/v1/claims') if x.get('copy') == 'running'}
    assert held == {u for u in lost if where[u] == holder.name}, held
    holder.start_healer()
    wait_role(holder, 'primary', 10)
    c.wait_link('offline')
    c.wait_copies(lost)
    assert before == [(r['uid'], r['node']) for r in c.runs() if r['orig']], 'no copy was restarted or doubled'
    c.mend()
    c.wait_handover()


# ---- the static pod ----

def daemon_set(c):
    code, body = c.api.call('POST', '/apis/apps/v1/namespaces/%s/daemonsets' % c.ns, {
        'apiVersion': 'apps/v1', 'kind': 'DaemonSet', 'metadata': {'name': 'edge-healer', 'namespace': c.ns},
        'spec': {'selector': {'matchLabels': {'app': 'edge-healer'}},
                 'template': {'metadata': {'labels': {'app': 'edge-healer'}}, 'spec': {'containers': [{'name': 'c', 'image': IMAGE}]}}}})
    assert code == 201, body
    return body['metadata']['uid']


def own_pod(c, n, uid, name, revision, volumes=(), image=IMAGE):
    """As the DaemonSet's controller would make it."""
    store = {'name': 'data', 'mountPath': n.path('data')}
    code, body = c.api.call('POST', '/api/v1/namespaces/%s/pods' % c.ns, {
        'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {
            'name': name, 'namespace': c.ns, 'labels': {'app': 'edge-healer', 'controller-revision-hash': revision},
            'annotations': {'edge-healer.io/standby-binary': c.binary},
            'ownerReferences': [{'apiVersion': 'apps/v1', 'kind': 'DaemonSet', 'name': 'edge-healer', 'uid': uid, 'controller': True}]},
        'spec': {'nodeName': n.name, 'hostNetwork': True, 'terminationGracePeriodSeconds': 1,
                 'volumes': [{'name': 'data', 'hostPath': {'path': n.path('data')}}] + list(volumes),
                 'containers': [
                     {'name': 'edge-healer', 'image': image, 'args': ['agent', '--config', n.path('edge-healer.yaml')],
                      'ports': [{'containerPort': 8000, 'hostPort': 8000}], 'volumeMounts': [store],
                      'livenessProbe': {'httpGet': {'path': '/livez', 'port': 8000}}},
                     {'name': 'serf', 'image': image, 'command': ['sleep'], 'args': ['1000'],
                      'resources': {'requests': {'cpu': '500m', 'memory': '64Mi'}}}]}})
    assert code == 201, body


def be(c, n, name, env=None, **config):
    """Start the healer as this pod."""
    n.parts['healer'].kill(signal.SIGTERM)
    before = c.config
    c.config = dict(before, **dict({'pod.name': name, 'pod.namespace': c.ns, 'pod.standby': 'auto'}, **config))
    n.start_healer(env)
    c.config = before


def present(n):
    try:
        with open(n.path('manifests', FILE)) as f:
            return json.load(f)
    except FileNotFoundError:
        return None


def wait_check(n, word):
    def told():
        text = n.http('/readyz?verbose') or ''
        return next((line for line in text.splitlines() if 'standby' in line and word in line), None)
    return wait_for(told, 15, '/readyz tells of the standby: ' + word)


def run_of(n, pod):
    return [r for r in n.runs() if r['uid'] == pod['metadata']['uid']]


@stage(nodes=1)
def test_the_static_pod_is_written_replaced_run_and_removed(c):
    if c.given_kubeconfig:
        raise Skip('the DaemonSet\'s pods are made by hand here')
    n = c.nodes[0]
    uid = daemon_set(c)
    own_pod(c, n, uid, 'edge-healer-a', 'r1')
    be(c, n, 'edge-healer-a')
    first = wait_for(lambda: present(n), 15, 'the standby is written')
    wait_check(n, 'revision r1')
    wait_for(lambda: run_of(n, first), 10, 'kubelet runs it')
    agent, serf = first['spec']['containers']
    assert agent['args'][-1] == '--standby' and 'ports' not in agent and 'livenessProbe' not in agent, agent
    assert serf['command'] == [c.binary, 'hold', '--lock', n.path('data', STORE + '.standby'), '--', 'sleep', '1000'], serf
    assert 'app' not in first['metadata']['labels']

    be(c, n, 'edge-healer-a')         # the same again: nothing is rewritten, a restart with its DaemonSet in place removes nothing
    wait_check(n, 'revision r1')
    assert present(n) == first
    assert len([h for h in n.history() if h['event'] == 'standby written']) == 1

    own_pod(c, n, uid, 'edge-healer-b', 'r2')
    be(c, n, 'edge-healer-b')
    wait_check(n, 'revision r2')
    second = present(n)
    assert second['metadata']['uid'] != first['metadata']['uid']
    wait_for(lambda: run_of(n, second) and run_of(n, first)[-1]['end'], 10, 'kubelet replaces it')

    code, body = c.api.call('DELETE', '/apis/apps/v1/namespaces/%s/daemonsets/edge-healer?propagationPolicy=Background' % c.ns)
    assert code == 200, body
    began = time.monotonic()
    n.parts['healer'].kill(signal.SIGTERM)
    assert time.monotonic() - began < 2.5
    assert not present(n), n.parts['healer'].text()[-600:]
    assert not open_intents(n)
    assert not errors(n.parts['healer'])


@stage(nodes=1)
def test_a_goodbye_names_a_reason_only_when_the_api_server_said_it(c):
    if c.given_kubeconfig:
        raise Skip('the DaemonSet\'s pods are made by hand here')
    n = c.nodes[0]
    own_pod(c, n, daemon_set(c), 'edge-healer-a', '1')
    be(c, n, 'edge-healer-a')
    wait_for(lambda: present(n), 30, 'it knows its own pod')

    def said():
        p = subprocess.run([c.binary, 'goodbye', '--server', 'unix:' + n.path('healer.sock')], capture_output=True, text=True, timeout=20)
        return p.stdout or p.stderr
    assert said() == 'The site is told: stopping.\n'
    n.parts['kubelet'].kill()               # nobody brings the deletion to its end
    code, body = c.api.call('DELETE', '/api/v1/namespaces/%s/pods/edge-healer-a' % c.ns)
    assert code == 200, body
    wait_for(lambda: said() == 'The site is told: rollout.\n', 20, 'its own pod is deleted')
    n.parts['serf'].kill()
    wait_for(lambda: 'serf agent of this node' in said(), 20, 'nobody can be told')


@stage(nodes=1)
def test_an_uninstall_that_nobody_can_confirm_keeps_the_standby_until_somebody_can(c):
    if c.given_kubeconfig:
        raise Skip('the DaemonSet\'s pods are made by hand here')
    n = c.nodes[0]
    own_pod(c, n, daemon_set(c), 'edge-healer-a', 'r1')
    be(c, n, 'edge-healer-a')
    wait_for(lambda: present(n), 15, 'the standby is written')
    start_standby(c, n)
    c.api.call('DELETE', '/apis/apps/v1/namespaces/%s/daemonsets/edge-healer?propagationPolicy=Background' % c.ns)
    c.cut_uplink('blackhole')
    began = time.monotonic()
    n.parts['healer'].kill(signal.SIGTERM)
    assert time.monotonic() - began < 2.5, 'stopping is not held up'
    assert present(n)
    wait_role(n, 'standby', 5)
    c.mend_uplink()                   # it has a kubeconfig: it may ask
    wait_for(lambda: not present(n), 30, 'the standby removes itself')


@stage(nodes=1)
def test_why_there_is_no_standby_is_told(c):
    if c.given_kubeconfig:
        raise Skip('the DaemonSet\'s pods are made by hand here')
    n = c.nodes[0]
    own_pod(c, n, daemon_set(c), 'edge-healer-a', 'r1', [{'name': 'claim', 'persistentVolumeClaim': {'claimName': 'c'}}])
    be(c, n, 'edge-healer-a')
    wait_check(n, 'needs PersistentVolumeClaim')
    assert not present(n)
    with open(n.path('manifests', FILE), 'w') as f:
        f.write('{}')
    own_pod(c, n, 'bdedc685-793f-415f-80c0-fdb7fddfd6e1', 'edge-healer-b', 'r1')
    be(c, n, 'edge-healer-b')
    wait_check(n, 'not ours')
    assert present(n) == {}


@stage(nodes=1)
def test_killed_anywhere_while_it_writes(c):
    if c.given_kubeconfig:
        raise Skip('the DaemonSet\'s pods are made by hand here')
    n = c.nodes[0]
    own_pod(c, n, daemon_set(c), 'edge-healer-a', 'r1')
    for point in ('standby.commit', 'standby.write', 'standby.close'):
        n.parts['healer'].kill(signal.SIGTERM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(n.path('manifests', FILE))
        be(c, n, 'edge-healer-a', {'EDGE_HEALER_FAULT': point})
        assert n.parts['healer'].p.wait(20) == -signal.SIGKILL, point
        be(c, n, 'edge-healer-a')
        wait_check(n, 'revision r1')
        left = [f for f in os.listdir(n.path('manifests')) if f != FILE]
        assert not left, (point, left)


@stage(nodes=1)
def test_killed_before_it_removes(c):
    if c.given_kubeconfig:
        raise Skip('the DaemonSet\'s pods are made by hand here')
    n, armed = c.nodes[0], {'EDGE_HEALER_FAULT': 'standby.remove'}
    own_pod(c, n, daemon_set(c), 'edge-healer-a', 'r1')
    for how in ({'pod.standby': 'off'}, {}):          # by its configuration, at its start; its DaemonSet gone, at its end
        be(c, n, 'edge-healer-a')
        wait_check(n, 'revision r1')
        be(c, n, 'edge-healer-a', armed, **how)
        if not how:
            wait_check(n, 'revision r1')
            c.api.call('DELETE', '/apis/apps/v1/namespaces/%s/daemonsets/edge-healer?propagationPolicy=Background' % c.ns)
            n.parts['healer'].p.send_signal(signal.SIGTERM)
        assert n.parts['healer'].p.wait(20) == -signal.SIGKILL, how
        assert present(n) and open_intents(n), how
        if how:
            be(c, n, 'edge-healer-a', **how)
        else:
            start_standby(c, n)                       # as kubelet does: the file is there
        wait_for(lambda: not present(n), 30, 'who comes next removes it')
        if how:
            wait_for(lambda: not open_intents(n), 10, 'no intent is left')
        else:
            assert not os.path.exists(n.path('data', STORE)), 'a standby takes all of ours with it'


@stage(nodes=1)
def test_without_credentials_it_still_sees_the_api_server(c):
    """A static pod has no service account: what it sees of the link is anonymous, and it neither mirrors nor acts."""
    if c.given_kubeconfig:
        raise Skip('needs a server without TLS')
    n = c.nodes[0]
    c.run_web(replicas=2)
    wait_for(lambda: len([p for p in n.http('/v1/pods') or [] if p['phase'] == 'Running']) == 2, 20, 'the pods are mirrored')
    n.parts['healer'].kill()
    with open(n.path('kubeconfig')) as f:
        server = json.load(f)['clusters'][0]['cluster']['server']
    before, c.config = c.config, dict(c.config, **{'kube.kubeconfig': '', 'kube.server': server})
    n.write_config()
    c.config = before
    env = {'KUBERNETES_SERVICE_HOST': urllib.parse.urlsplit(server).hostname}
    n.parts['standby'] = Process('standby', [c.binary, 'agent', '--standby', '--config', n.path('edge-healer.yaml')],
                                 n.path('standby.log'), env)
    wait_role(n, 'standby', 5)
    n.parts['standby'].line('source="anonymous"')
    c_link = lambda: n.http('/v1/status')['link']['state']  # noqa: E731
    wait_for(lambda: c_link() == 'online', 10, 'it sees the API server')
    assert not n.http('/v1/status')['mirror']['inSync'] and n.http('/v1/status')['mirror']['pods'] == 2
    c.cut_uplink('refuse')
    wait_for(lambda: c_link() == 'offline', 10, 'it sees that it is gone')
    c.mend_uplink()
    wait_for(lambda: c_link() == 'online', 10, 'and that it is back')
    assert not n.manifests() and not errors(n.parts['standby'])
