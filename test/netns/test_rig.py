"""The rig itself: the faults are what they are called, and nothing is left behind."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import net_stage  # noqa: F401 (finds the rig)
import netns
import runs
from process import wait_for


def site(**options):
    """A test of a site without healers."""
    def mark(fn):
        def run(binary, kubeconfig):
            with netns.NetCluster(binary, profile='local', **options) as c:
                fn(c)
        run.is_test = True
        return run
    return mark


def reach(a, b, port):
    """What a connection from a to b comes to: ok, refused or silence."""
    with netns.inside(a.namespace):
        s = socket.socket()
    with contextlib.closing(s):
        s.settimeout(0.4)
        try:
            s.connect((b.ip, port))
        except ConnectionRefusedError:
            return 'refused'
        except OSError:
            return 'silence'
    return 'ok'


@site(nodes=3)
def test_faults_are_what_they_are_called(c):
    one, two, three = c.nodes
    c.start_api()

    class Api:
        ip = c.api.url.hostname

    def serve(n):
        with netns.inside(n.namespace):
            s = socket.create_server(('0.0.0.0', 8000))
        return s
    with serve(one), serve(two), serve(three):
        def all_ways():
            return [reach(a, b, 8000) for a, b in ((one, two), (two, one), (two, three))]
        assert all_ways() == ['ok'] * 3
        c.cut([one], [three])
        assert (reach(one, three, 8000), reach(one, two, 8000)) == ('silence', 'ok')
        c.join()
        c.partition([one])
        assert all_ways() == ['silence', 'silence', 'ok'] and reach(one, Api, 6443) == 'ok'
        c.join()
        one.uplink('refuse')
        two.uplink('blackhole')
        assert [reach(n, Api, 6443) for n in c.nodes] == ['refused', 'silence', 'ok'] and all_ways() == ['ok'] * 3
        c.cut_uplink('blackhole')
        assert [reach(n, Api, 6443) for n in c.nodes] == ['silence'] * 3
        assert c.api.call('GET', '/version')[0] == 200, 'the test itself is not cut off'
        c.mend_uplink()
        assert [reach(n, Api, 6443) for n in c.nodes] == ['ok'] * 3
        two.power_off()
        assert (reach(one, two, 8000), reach(three, two, 8000)) == ('silence', 'silence')


def manifest(n, name):
    pod = {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': name}, 'spec': {'containers': [{'name': 'c', 'image': 'localhost/busybox:1'}]}}
    with open(n.path('manifests', '.' + name), 'w') as f:
        json.dump(pod, f)
    os.rename(n.path('manifests', '.' + name), n.path('manifests', name + '.json'))
    return time.time()


def first(n, event, name):
    return next((e['t'] for e in n.journal() if e['event'] == event and e.get('name', '').startswith(name)), None)


@site(nodes=1)
def test_a_kubelet_hangs_in_the_black_hole_until_its_connection_is_destroyed(c):
    """What the gate is for, done by hand: reject locally, then destroy what hangs already."""
    n, = c.nodes
    c.start_api()
    n.start_proxy()
    n.start_kubelet()
    n.parts['kubelet'].line('ready')
    wait_for(lambda: c.api.call('GET', '/api/v1/nodes/' + n.name)[0] == 200, 10, 'registered')
    wrote = manifest(n, 'online')
    wait_for(lambda: first(n, 'running', 'online'), 5, 'it runs')
    assert first(n, 'running', 'online') - wrote < 1
    c.cut_uplink('blackhole')
    manifest(n, 'hung')
    time.sleep(2)                            # that nothing happens can only be seen by waiting
    assert not first(n, 'running', 'hung')
    netns.run(*n.wrap(['nft', '-f', '-']), text='table inet gate { chain output { type filter hook output priority 0; '
              'ip daddr %s tcp dport 6443 reject with tcp reset; }; }' % c.api.url.hostname)
    gated = time.time()
    netns.run(*n.wrap(['ss', '-K', 'dst', c.api.url.hostname]))
    wait_for(lambda: first(n, 'running', 'hung'), 5, 'the wait ends')
    assert first(n, 'running', 'hung') - gated < 1
    wrote = manifest(n, 'gated')
    wait_for(lambda: first(n, 'running', 'gated'), 5, 'it runs')
    assert first(n, 'running', 'gated') - wrote < 1, 'refused: at once'


def test_a_frozen_pod_does_not_run(binary, kubeconfig):
    def journal(*rows):
        return [dict({'t': t, 'event': event, 'uid': 'u'}, **({'ns': 'd', 'name': 'p'} if event in ('running', 'recovered') else {}))
                for t, event in rows]

    def spans(*rows):
        return [(r['start'], r['end'], r['frozen']) for r in runs.of_journal(journal(*rows), 'n')]
    assert spans((1, 'running'), (2, 'frozen'), (5, 'thawed'), (6, 'stop')) == [(1, 2, True), (5, 6, False)]
    assert spans((1, 'running'), (2, 'frozen'), (3, 'recovered'), (4, 'stop')) == [(1, 2, True)], 'a new kubelet does not thaw it'
    assert spans((1, 'running'), (2, 'frozen'), (3, 'death'), (4, 'running')) == [(1, 2, True), (4, None, False)]
    assert spans((1, 'running'), (2, 'vanished'), (3, 'running')) == [(1, 2, False), (3, None, False)]
    assert spans((1, 'running'), (2, 'thawed'), (3, 'recovered')) == [(1, None, False)]
    two = runs.of_journal(journal((1, 'running'), (2, 'frozen'), (4, 'thawed')), 'a') + runs.of_journal(journal((2, 'running'), (4, 'stop')), 'b')
    assert runs.most(two, lambda r: True) == 1


test_a_frozen_pod_does_not_run.is_test = True


def spaces(prefix):
    return [line for line in netns.run('ip', 'netns', 'list').splitlines() if line.startswith(prefix)]


def test_a_killed_run_leaves_no_namespace_and_no_process(binary, kubeconfig):
    code = 'import sys; sys.path.insert(0, %r); import netns; c = netns.NetCluster(%r, 2); c.start_api(); ' \
           'print(c.network.prefix, c.dir, flush=True); sys.stdin.read()' % (os.path.dirname(netns.__file__), binary)
    p = subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    prefix, folder = p.stdout.readline().split()
    assert len(spaces(prefix)) == 4, spaces(prefix)
    with open(os.path.join(folder, 'kubesim.log')) as f:
        assert 'listening' in f.read()
    pids = netns.run('ip', 'netns', 'pids', prefix + '-api').split()
    assert pids
    p.send_signal(signal.SIGKILL)
    p.wait()
    wait_for(lambda: not spaces(prefix), 10, 'the guard deletes the namespaces')
    wait_for(lambda: not any(os.path.exists('/proc/' + pid) for pid in pids), 5, 'the processes are gone')
    subprocess.run(['rm', '-rf', folder], check=True)


test_a_killed_run_leaves_no_namespace_and_no_process.is_test = True
