"""The gate against a real black hole: three network namespaces, a router that drops, simulated kubelets that hang as real ones do.

  node (edge-healer, kubelets)  --  router (the cut: packets are dropped)  --  far (kubesim and a second, IPv6 API address)

Needs root, network namespaces and nftables; without them it is skipped, visibly.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

TEST = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(TEST, 'rig'))
from cluster import IMAGE, KUBESIM, PYTHON, Process, wait_for  # noqa: E402

BINARY = os.path.abspath(os.environ.get('EDGE_HEALER_BIN', os.path.join(os.path.dirname(TEST), 'build/release/edge-healer')))
PORT, LOCAL_PORT = 6443, 6444
API4, API6, OTHER = '10.77.2.2', 'fd77:2::2', '10.77.2.3'
FAST_MS = 100                     # a refused connect; 0.1 ms seen
HANG_S = 6                        # of the simulated kubelet; a real one hangs 30 s and more
EXPIRY_S = 10                     # of the gate's elements in the kernel
TABLE = 'table inet edge_healer'


def sh(*argv, check=True):
    p = subprocess.run(argv, capture_output=True, text=True)
    if check and p.returncode:
        raise AssertionError('%s: %s' % (' '.join(argv), p.stderr.strip()))
    return p.stdout


class Site:
    """The three namespaces and what runs in them."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='edge-healer-gate-')
        self.ns = {part: 'ehgate-%d-%s' % (os.getpid(), part) for part in ('node', 'router', 'far')}
        self.processes, self.agent, self.count = [], None, 0

    def run(self, part, *argv, check=True):
        return sh('ip', 'netns', 'exec', self.ns[part], *argv, check=check)

    def spawn(self, part, name, argv, stdin=None):
        self.count += 1
        p = Process(name, ['ip', 'netns', 'exec', self.ns[part]] + argv, self.path('%02d-%s.log' % (self.count, name)), stdin=stdin)
        self.processes.append(p)
        return p

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def make_network(self):
        for ns in self.ns.values():
            sh('ip', 'netns', 'add', ns)
            sh('ip', '-n', ns, 'link', 'set', 'lo', 'up')
        for i, part in ((1, 'node'), (2, 'far')):
            sh('ip', '-n', self.ns[part], 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'to-' + part, 'netns', self.ns['router'])
            for ns, dev, host in ((part, 'up0', 2), ('router', 'to-' + part, 1)):
                sh('ip', '-n', self.ns[ns], 'addr', 'add', '10.77.%d.%d/24' % (i, host), 'dev', dev)
                sh('ip', '-n', self.ns[ns], 'addr', 'add', 'fd77:%d::%d/64' % (i, host), 'dev', dev, 'nodad')
                sh('ip', '-n', self.ns[ns], 'link', 'set', dev, 'up')
            sh('ip', '-n', self.ns[part], 'route', 'add', 'default', 'via', '10.77.%d.1' % i)
            sh('ip', '-n', self.ns[part], '-6', 'route', 'add', 'default', 'via', 'fd77:%d::1' % i)
        sh('ip', '-n', self.ns['far'], 'addr', 'add', OTHER + '/24', 'dev', 'up0')
        for key in ('net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'):
            self.run('router', 'sysctl', '-qw', key + '=1')

    def start_api(self):
        self.spawn('far', 'kubesim', [PYTHON, os.path.join(KUBESIM, 'apiserver.py'), '--listen', '%s:%d' % (API4, PORT),
                                      '--write-kubeconfig', self.path('kubeconfig')]).line('listening on')
        for ip in (API6, OTHER):
            self.spawn('far', 'silent', [PYTHON, os.path.join(HERE, 'silent.py'), ip, str(PORT)]).line('listening')

    def cut(self):
        """Both ways, as a dead uplink: nothing is answered, not even by ICMP."""
        self.run('router', 'nft', 'add table inet cut; add chain inet cut f { type filter hook forward priority 0; policy drop; '
                 '}; add rule inet cut f meta nfproto ipv4 ip daddr %s tcp flags & (syn | ack) == syn counter' % API4)

    def heal(self):
        self.run('router', 'nft', 'delete table inet cut')

    def probes_that_left(self):
        """SYNs that reached the router on their way to the API server since the cut."""
        rules = json.loads(self.run('router', 'nft', '-j', 'list', 'chain', 'inet', 'cut', 'f'))['nftables']
        return next(e['counter']['packets'] for r in rules if 'rule' in r for e in r['rule']['expr'] if 'counter' in e)

    # ---- edge-healer ----

    def configure(self, gate='auto', mode='heal', addresses=('[%s]:%d' % (API6, PORT),), kubelet=None, own=None):
        config = {'node': 'node1', 'mode': mode, 'serf': {'rpc': '127.0.0.1:7373'},
                  'kube': {'kubeconfig': own or self.path('kubeconfig'), 'offline_after': '1s', 'probe': '250ms'},
                  'store': {'path': self.path('desired.db')}, 'http': {'listen': '127.0.0.1:8000'},
                  'kubelet': {'static_pod_path': self.path('manifests'), 'gate': gate, 'gate_addresses': list(addresses),
                              'kubeconfig': kubelet or self.path('kubeconfig')}}
        os.makedirs(self.path('manifests'), exist_ok=True)
        with open(self.path('edge-healer.yaml.new'), 'w') as f:
            json.dump(config, f)
        os.rename(self.path('edge-healer.yaml.new'), self.path('edge-healer.yaml'))

    def start_agent(self, *wrap, **config):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path('desired.db'))
        self.configure(**config)
        self.resume_agent(*wrap)
        wait_for(lambda: self.status()['link']['state'] == 'online' and self.status()['mirror']['inSync'], 20, 'online')
        if config.get('gate') != 'off':
            wait_for(lambda: self.status()['gate']['addresses'], 10, 'addresses are known')

    def resume_agent(self, *wrap):
        self.agent = self.spawn('node', 'agent', list(wrap) + [BINARY, 'agent', '--config', self.path('edge-healer.yaml')])
        self.agent.line('started')

    def stop_agent(self, signo=signal.SIGTERM):
        if self.agent:
            self.agent.kill(signo)
            self.agent = None

    def http(self, path):
        text = self.run('node', 'curl', '-s', '--max-time', '3', 'http://127.0.0.1:8000' + path)
        return json.loads(text) if path.startswith('/v1') else text

    def status(self):
        return self.http('/v1/status')

    def gate(self):
        return self.status()['gate']['state']

    def events(self):
        return [h['event'] for h in sorted(self.http('/v1/history?limit=1000'), key=lambda h: h['id'])]

    def ruleset(self):
        return self.run('node', 'nft', 'list', 'ruleset')

    # ---- kubelets ----

    def start_kubelet(self):
        for sub in ('manifests', 'logs', 'cgroup'):
            os.makedirs(self.path(sub), exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path('journal.jsonl'))
        self.spawn('node', 'kubelet', [PYTHON, os.path.join(KUBESIM, 'kubelet.py'), '--kubeconfig', self.path('kubeconfig'),
                                       '--node-name', 'node1', '--node-ip', '10.77.1.2', '--root', self.dir, '--healthz', '127.0.0.1:10248',
                                       '--port', '10250', '--journal', self.path('journal.jsonl'), '--hang-seconds', str(HANG_S)])
        wait_for(lambda: '"node1"' in self.run('far', 'curl', '-s', 'http://%s:%d/api/v1/nodes' % (API4, PORT)), 10, 'the node registers')

    def start_static_pod(self, name):
        """How long it takes from the file to the running pod, in seconds."""
        pod = {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': name, 'namespace': 'default', 'uid': str(uuid.uuid4())},
               'spec': {'containers': [{'name': 'c', 'image': IMAGE}]}}
        with open(self.path('.pod'), 'w') as f:
            json.dump(pod, f)
        began = time.monotonic()
        os.rename(self.path('.pod'), self.path('manifests', name + '.json'))

        def runs():
            with contextlib.suppress(FileNotFoundError), open(self.path('journal.jsonl')) as f:
                return any('"running"' in line and name in line for line in f)
        wait_for(runs, HANG_S * 3, 'kubelet starts ' + name)
        os.unlink(self.path('manifests', name + '.json'))
        return time.monotonic() - began

    def connect(self, ip, timeout=4.0, port=PORT, mark=0):
        """(what became of a connect, after how many ms)"""
        out = self.run('node', PYTHON, os.path.join(HERE, 'kubelet_call.py'), ip, str(port), '--connect', '--timeout', str(timeout), '--mark', str(mark))
        got = json.loads(out)
        return got['result'], got['ms']

    def start_call(self, ip):
        """A kubelet with an open connection, about to ask; its answer is due when it is told to."""
        p = self.spawn('node', 'kubelet', [PYTHON, os.path.join(HERE, 'kubelet_call.py'), ip, str(PORT), '--timeout', '30'], stdin=subprocess.PIPE)
        p.line('connected')
        return p

    @staticmethod
    def ask(p):
        """It waits for the answer from now on."""
        p.p.stdin.write(b'ask\n')
        p.p.stdin.flush()
        p.line('asked')

    def start_hanging_connect(self, ip):
        p = self.spawn('node', 'kubelet', [PYTHON, os.path.join(HERE, 'kubelet_call.py'), ip, str(PORT), '--connect', '--timeout', '30'])
        dst = '[%s]' % ip if ':' in ip else ip
        wait_for(lambda: self.run('node', 'ss', '-Htn', 'state', 'syn-sent', 'dst', dst).strip(), 5, 'a connect hangs')
        return p

    @staticmethod
    def result(p, seconds):
        line = wait_for(lambda: next((t for t in p.text().splitlines() if t.startswith('{')), None), seconds, 'the call ends')
        return json.loads(line)

    # ---- ----

    def between(self):
        """Each test begins online, without an agent and without its table."""
        self.stop_agent(signal.SIGKILL)
        self.run('router', 'nft', 'delete table inet cut', check=False)
        self.run('node', 'nft', 'flush ruleset')
        for p in self.processes:
            if p.name not in ('kubesim', 'silent'):
                p.kill()

    def close(self):
        for p in self.processes:
            p.kill()
        for ns in self.ns.values():
            sh('ip', 'netns', 'del', ns, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


def told(what, value):
    print('     %s: %s' % (what, value), flush=True)


def test_without_the_gate_a_kubelet_hangs(s):
    s.start_agent(gate='off')
    s.start_kubelet()
    call = s.start_call(API4)
    s.cut()
    s.ask(call)
    wait_for(lambda: s.status()['link']['state'] == 'offline', 10, 'offline')
    assert s.connect(API4)[0] == 'timeout' and s.connect(API6)[0] == 'timeout'
    time.sleep(0.5)
    assert '"result"' not in call.text(), call.text()
    assert s.status()['gate']['hangMs'] > 56000, 'a copy would be given its time'
    assert TABLE not in s.ruleset() and s.gate() == 'off'
    took = s.start_static_pod('web-hangs')
    told('a static pod starts, s (a real kubelet: 30 and more)', '%.2f' % took)
    assert took > HANG_S - 1, took


def test_closed_everything_fails_fast_and_only_that(s):
    s.start_agent()
    assert s.gate() == 'open' and TABLE not in s.ruleset() and s.status()['gate']['hangMs'] == 0
    addresses = s.status()['gate']['addresses']
    for a in ('%s:%d' % (API4, PORT), '[%s]:%d' % (API6, PORT), '10.96.0.1:443'):
        assert a in addresses, addresses
    calls = [s.start_call(ip) for ip in (API4, API6)]
    s.cut()
    for c in calls:
        s.ask(c)
    calls += [s.start_hanging_connect(ip) for ip in (API4, API6)]
    began = time.monotonic()
    wait_for(lambda: s.gate() == 'closed', 10, 'closed')
    for c in calls:                # the connections that hung have an end
        got = s.result(c, 1)
        assert got['result'] in ('aborted', 'refused'), got
    told('closed and all hanging calls ended, s after the cut', '%.2f' % (time.monotonic() - began))
    assert s.status()['gate']['hangMs'] == 0
    for ip in (API4, API6):
        result, ms = s.connect(ip)
        told('refused %s, ms' % ip, '%.2f' % ms)
        assert result == 'refused' and ms < FAST_MS, (ip, result, ms)
    assert s.connect(OTHER, 1)[0] == 'timeout', 'another address is not ours to reject'
    assert s.connect(API4, 1, port=443)[0] == 'timeout', 'another port is not ours to reject'
    assert s.connect(API4, 1, mark=0x2065)[0] == 'timeout', 'our own probes go out'
    before = s.probes_that_left()
    wait_for(lambda: s.probes_that_left() > before + 2, 5, 'the agent probes through the closed gate')
    metrics = s.http('/metrics')
    assert '\nedge_healer_gate_closed 1\n' in metrics and '\nedge_healer_gate_errors_total 0\n' in metrics


def test_closed_a_kubelet_starts_static_pods_at_once(s):
    s.start_agent(addresses=())
    s.start_kubelet()
    s.cut()
    wait_for(lambda: s.gate() == 'closed', 10, 'closed')
    for i in range(3):
        took = s.start_static_pod('web-%d' % i)
        told('a static pod starts, s', '%.2f' % took)
        assert took < 2, took


def test_it_stays_closed_without_a_gap_and_mends_itself(s):
    s.start_agent()
    s.cut()
    wait_for(lambda: s.gate() == 'closed', 10, 'closed')
    out = json.loads(s.run('node', PYTHON, os.path.join(HERE, 'kubelet_call.py'), API4, str(PORT), '--storm', str(EXPIRY_S + 2)))
    told('connects refused while renewed', out['refused'])
    assert out['refused'] > 100 and out['other'] == 0, out
    s.run('node', 'nft', 'flush ruleset')            # a firewall is reloaded
    wait_for(lambda: s.connect(API4, 0.5)[0] == 'refused', 5, 'closed again')


def test_it_opens_the_moment_a_probe_succeeds(s):
    s.start_agent()
    s.cut()
    wait_for(lambda: s.gate() == 'closed', 10, 'closed')
    s.heal()
    began = time.monotonic()
    wait_for(lambda: s.connect(API4, 0.5)[0] == 'connected', 5, 'open')
    told('open, s after the uplink is back', '%.2f' % (time.monotonic() - began))
    assert s.connect(API6)[0] == 'connected' and TABLE not in s.ruleset()
    wait_for(lambda: s.status()['link']['state'] == 'online', 10, 'online')
    events = s.events()
    assert events.index('gate opened') < events.index('link online'), events
    assert '\nedge_healer_gate_closed 0\n' in s.http('/metrics')


def test_killed_it_opens_by_itself(s):
    s.start_agent()
    s.cut()
    wait_for(lambda: s.gate() == 'closed', 10, 'closed')
    s.stop_agent(signal.SIGKILL)
    began = time.monotonic()
    assert s.connect(API4)[0] == 'refused'
    wait_for(lambda: 'elements' not in s.ruleset(), EXPIRY_S + 5, 'the elements expire')
    took = time.monotonic() - began
    told('nothing left in the sets, s after kill -9', '%.2f' % took)
    assert took <= EXPIRY_S + 0.5, took
    assert s.connect(API4, 1)[0] == 'timeout' and s.connect(API6, 1)[0] == 'timeout', 'the black hole is back, not our reset'
    s.heal()
    assert s.connect(API4)[0] == 'connected'
    assert TABLE in s.ruleset()
    s.resume_agent()
    wait_for(lambda: s.status()['link']['state'] == 'online', 10, 'online')
    assert TABLE not in s.ruleset(), 'the next start removes the empty table'


def test_started_offline_it_knows_the_addresses(s):
    s.start_agent()
    wait_for(lambda: '10.96.0.1:443' in s.status()['gate']['addresses'], 10, 'the Service is known')
    s.stop_agent()
    s.cut()
    s.resume_agent()
    wait_for(lambda: s.gate() == 'closed', 10, 'closed')
    assert '10.96.0.1:443' in s.status()['gate']['addresses']
    assert s.connect('10.96.0.1', port=443)[0] == 'refused'


def test_an_orderly_stop_opens_it(s):
    s.start_agent()
    s.cut()
    wait_for(lambda: s.gate() == 'closed', 10, 'closed')
    s.stop_agent(signal.SIGTERM)
    assert TABLE not in s.ruleset()


def test_observe_closes_nothing(s):
    s.start_agent(mode='observe')
    s.cut()
    wait_for(lambda: 'would act' in s.events(), 10, 'it tells')
    assert TABLE not in s.ruleset() and s.gate() == 'observing'
    assert s.connect(API4, 1)[0] == 'timeout'


def test_a_reload_applies(s):
    s.start_agent()
    s.cut()
    wait_for(lambda: s.gate() == 'closed', 10, 'closed')
    s.configure(gate='off')
    wait_for(lambda: TABLE not in s.ruleset(), 5, 'off opens')
    s.configure(gate='on', addresses=['%s:%d' % (OTHER, PORT)])
    wait_for(lambda: s.connect(OTHER, 0.5)[0] == 'refused', 5, 'on closes, and the new address is in')
    assert s.connect(API6, 1)[0] == 'timeout', 'and the old one is not'
    s.configure(gate='on', addresses=['[%s]:%d' % (API6, PORT)])
    wait_for(lambda: s.connect(API6, 0.5)[0] == 'refused', 5, 'addresses change while it is closed')
    assert s.connect(OTHER, 1)[0] == 'timeout'
    s.configure(mode='observe')
    wait_for(lambda: TABLE not in s.ruleset(), 5, 'observe opens')


def test_a_proxy_on_this_machine_is_not_cut_off(s):
    """As on k3s: kubelet and we go through a port of loopback. Only that is closed, or the proxy could never reach the server."""
    local = s.path('kubeconfig-local')
    with open(s.path('kubeconfig')) as f, open(local, 'w') as g:
        g.write(f.read().replace('%s:%d' % (API4, PORT), '127.0.0.1:%d' % LOCAL_PORT))
    s.spawn('node', 'proxy', [PYTHON, os.path.join(KUBESIM, 'proxy.py'), '--listen', '127.0.0.1:%d' % LOCAL_PORT, '--to', '%s:%d' % (API4, PORT)],
            stdin=subprocess.PIPE).line('listening on')
    s.start_agent(kubelet=local, own=local, addresses=())
    wait_for(lambda: s.status()['gate']['addresses'] == ['127.0.0.1:%d' % LOCAL_PORT], 5, 'only loopback is closed')
    s.cut()
    wait_for(lambda: s.gate() == 'closed', 10, 'closed')
    assert s.connect('127.0.0.1', port=LOCAL_PORT)[0] == 'refused'
    assert s.connect(API4, 1)[0] == 'timeout'
    s.heal()
    wait_for(lambda: s.connect('127.0.0.1', 0.5, port=LOCAL_PORT)[0] == 'connected', 10, 'it opens: the probe got through the proxy')


def test_an_api_server_on_this_machine_is_left_alone(s):
    """It talks to itself before it is ready: a closed gate would keep it from ever becoming so."""
    path = 'http://%s:%d/apis/discovery.k8s.io/v1/namespaces/default/endpointslices' % (API4, PORT)
    body = {'metadata': {'name': 'here', 'labels': {'kubernetes.io/service-name': 'kubernetes'}}, 'addressType': 'IPv4',
            'endpoints': [{'addresses': ['10.77.1.2']}], 'ports': [{'port': PORT, 'protocol': 'TCP'}]}
    local = s.path('kubeconfig-here')
    with open(s.path('kubeconfig')) as f, open(local, 'w') as g:
        g.write(f.read().replace('%s:%d' % (API4, PORT), '127.0.0.1:%d' % PORT))
    s.run('far', 'curl', '-sf', '-H', 'Content-Type: application/json', '-d', json.dumps(body), path)
    try:
        s.start_agent(kubelet=local)
        want = {'%s:%d' % (API4, PORT), '10.96.0.1:443', '[%s]:%d' % (API6, PORT)}
        wait_for(lambda: set(s.status()['gate']['addresses']) == want, 5, 'nothing on this machine is listed')
    finally:
        s.run('far', 'curl', '-sf', '-X', 'DELETE', path + '/here')


def test_without_rights_it_says_so(s):
    wrap = ('setpriv', '--bounding-set=-net_admin,-net_raw', '--inh-caps=-all')
    s.start_agent(*wrap)
    assert s.gate() == 'unable' and 'CAP_NET_ADMIN' in s.status()['gate']['note']
    assert '[~]gate ok: CAP_NET_ADMIN' in s.http('/readyz?verbose')
    s.cut()
    wait_for(lambda: s.status()['link']['state'] == 'offline', 10, 'offline')
    assert s.agent.text().count('CAP_NET_ADMIN') == 1, 'said once'
    assert s.status()['gate']['hangMs'] > 56000
    assert '\nedge_healer_gate_errors_total 2\n' in s.http('/metrics'), 'at the start and for this outage'
    s.heal()
    s.stop_agent()
    s.start_agent(*wrap, gate='on')
    assert '[-]gate failed: CAP_NET_ADMIN' in s.http('/readyz'), s.http('/readyz')
    assert 'error node: gate kubelet.gate is on, but' in s.agent.text()


def why_not():
    """What is missing for these tests, or None."""
    if os.geteuid() != 0:
        return 'network namespaces need root'
    for tool in ('ip', 'nft', 'ss', 'curl', 'setpriv', 'sysctl'):
        if not shutil.which(tool):
            return tool + ' is missing'
    ns = 'ehgate-%d-try' % os.getpid()
    try:
        sh('ip', 'netns', 'add', ns)
        sh('ip', 'netns', 'exec', ns, 'nft', 'add table inet x')
    except AssertionError as e:
        return str(e)
    finally:
        sh('ip', 'netns', 'del', ns, check=False)
    return None


def main():
    tests = [(name, f) for name, f in globals().items() if name.startswith('test_') and (len(sys.argv) < 2 or sys.argv[1] in name)]
    missing = why_not()
    if missing:
        print('SKIP: %s\n0 passed, 0 failed, %d skipped' % (missing, len(tests)))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    passed = failed = 0
    s = Site()
    try:
        s.make_network()
        s.start_api()
        for name, test in tests:
            began = time.monotonic()
            try:
                test(s)
                passed += 1
                print('ok   %5.1f s  %s' % (time.monotonic() - began, name), flush=True)
            except Exception as e:     # each test is told, none hides another
                failed += 1
                print('FAIL %s: %s: %s' % (name, type(e).__name__, e))
                print(s.agent.text()[-3000:] if s.agent else '', flush=True)
            s.between()
    finally:
        s.close()
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
