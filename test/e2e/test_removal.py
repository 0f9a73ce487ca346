"""A standby that works, and was left alone for good: its DaemonSet was deleted together with what let it ask."""
import contextlib
import os
import signal
import time

import test_standby as sb
from stage import Skip, errors, stage, wait_for

ALONE = 6                                    # seconds; 5 minutes in life
CONFIG = {'pod.standby_alone': '%ds' % ALONE}
NAMES = ('edge-healer-x7k2p', 'edge-healer-b5zvd', 'edge-healer-q9w4m')     # as the API server makes them up
BUNDLE_SPEC = {'containers': [{'name': 'c', 'image': sb.IMAGE, 'resources': {'requests': {'cpu': '100m', 'memory': '16Mi'}},
                               'volumeMounts': [{'name': 'conf', 'mountPath': '/etc/shop'}]}],
               'volumes': [{'name': 'conf', 'configMap': {'name': 'settings'}}]}


def need_kubesim(c):
    if c.given_kubeconfig:
        raise Skip('the DaemonSet\'s pods are made by hand here')


def install(c):
    """The healer of each node is a pod of the DaemonSet, and keeps its standby."""
    uid = sb.daemon_set(c)
    for n, name in zip(c.nodes, NAMES):
        sb.own_pod(c, n, uid, name, 'r1')
        sb.be(c, n, name)
    for n in c.nodes:
        wait_for(lambda n=n: sb.present(n), 20, 'the standby of %s is written' % n.name)
    c.wait_whole()


def delete_everything(c):
    """As kubectl delete -f does: the DaemonSet, and with it the account and its roles. Whoever asks with it gets 403."""
    code, body = c.api.call('DELETE', '/apis/apps/v1/namespaces/%s/daemonsets/edge-healer?propagationPolicy=Background' % c.ns)
    assert code == 200, body
    code, body = c.api.call('POST', '/kubesim/faults', {'match': {'client': 'edge-healer'}, 'action': 'status', 'status': 403})
    assert code == 200, body


def primary_to_standby(c, n, env=None):
    """What the node's kubelet does with the end of the DaemonSet's pod, while the standby waits for the place."""
    sb.start_standby(c, n, env)
    n.parts['healer'].kill(signal.SIGTERM)
    sb.wait_role(n, 'standby', 10)


def data(n):
    return sorted(f for f in os.listdir(n.path('data')) if f.startswith(sb.STORE))


def bundles(n):
    with contextlib.suppress(FileNotFoundError):
        return os.listdir(n.path('bundles'))
    return []


def check_nothing_left(n):
    assert not n.manifests(), n.manifests()
    assert not bundles(n), bundles(n)
    assert data(n) == [sb.STORE + suffix for suffix in ('.lock', '.primary', '.standby')], data(n)


def holder_of_copies(c):
    """Pods with bundles; a node dies while the uplink is cut: who holds copies now."""
    c.create('ConfigMap', 'configmaps', 'settings', data={'k': 'v'})
    c.run_web('web', 6, spec=BUNDLE_SPEC)
    wait_for(lambda: all([w for w in n.http('/v1/readiness') or [] if w['ready']] for n in c.nodes), 30, 'all could restore it')
    c.offline()
    lost = c.lose(c.busiest())
    where = c.wait_copies(lost)
    return c.node(where[lost[0]]), [u for u in lost if where[u] == where[lost[0]]]


@stage(config=CONFIG)
def test_everything_is_deleted_at_once_and_the_standby_goes_too(c):
    need_kubesim(c)
    install(c)
    n, held = holder_of_copies(c)
    delete_everything(c)
    primary_to_standby(c, n)
    time.sleep(ALONE + 6)
    assert sb.present(n) and bundles(n), 'in an outage nobody can tell'
    c.mend_uplink()
    began = time.monotonic()
    wait_for(lambda: not sb.present(n), 60, 'the standby removes itself')
    assert time.monotonic() - began >= ALONE, 'it was alone for long enough'
    check_nothing_left(n)
    n.parts['standby'].line('removal begins')
    n.parts['standby'].line('edge-healer has left this node')
    for uid in held:
        runs = [r for r in n.runs() if r['orig'] == uid]
        assert runs and all(r['end'] for r in runs), 'its copy has ended: %s' % runs
    assert n.parts['standby'].alive(), 'kubelet ends the pod; a container that ends is only started again'
    assert not errors(n.parts['standby'])
    # installed again: the same process may still be there, and is the standby of the next
    assert c.api.call('DELETE', '/kubesim/faults')[0] == 200
    own = 'edge-healer-hhhhh'
    sb.own_pod(c, n, sb.daemon_set(c), own, 'r2')
    sb.be(c, n, own)
    wait_for(lambda: sb.present(n), 30, 'a primary that comes back writes it anew')
    wait_for(lambda: n.parts['standby'].text().count('standby waits') == 2, 20, 'who was removed waits again')


@stage(nodes=1, config=CONFIG)
def test_the_new_image_cannot_be_pulled_and_the_standby_stays(c):
    need_kubesim(c)
    n = c.nodes[0]
    uid = sb.daemon_set(c)
    sb.own_pod(c, n, uid, NAMES[0], 'r1')
    sb.be(c, n, NAMES[0])
    wait_for(lambda: sb.present(n), 20, 'the standby is written')
    path = '/api/v1/namespaces/%s/pods/' % c.ns
    assert c.api.call('DELETE', path + NAMES[0] + '?gracePeriodSeconds=0')[0] == 200
    sb.own_pod(c, n, uid, NAMES[1], 'r2', image='registry.invalid/edge-healer:2')
    wait_for(lambda: any(NAMES[1] in f for f in os.listdir(n.path('logs'))), 20, 'its sandbox is there')
    primary_to_standby(c, n)
    time.sleep(ALONE * 2 + 6)
    assert sb.present(n) and sb.role(n) == 'standby', n.parts['standby'].text()[-800:]
    assert 'standby is alone' not in n.parts['standby'].text()
    # … but a node from which the DaemonSet's pod is taken away for good is left, though the DaemonSet is still there
    assert c.api.call('DELETE', path + NAMES[1] + '?gracePeriodSeconds=0')[0] == 200
    wait_for(lambda: not sb.present(n), 60, 'the standby removes itself')
    check_nothing_left(n)


@stage(config=CONFIG)
def test_killed_anywhere_in_its_removal(c):
    need_kubesim(c)
    install(c)
    n, _ = holder_of_copies(c)
    delete_everything(c)
    primary_to_standby(c, n, {'EDGE_HEALER_FAULT': 'removal.copy'})
    c.mend_uplink()
    for point in ('removal.copy', 'removal.data', 'removal.file', None):
        if point != 'removal.copy':
            sb.start_standby(c, n, {'EDGE_HEALER_FAULT': point} if point else None)
        if point:
            assert n.parts['standby'].p.wait(90) == -signal.SIGKILL, point
            assert sb.present(n), 'its own file goes last'
        assert point != 'removal.data' or not bundles(n)
        assert point != 'removal.file' or not os.path.exists(n.path('data', sb.STORE))
    wait_for(lambda: not sb.present(n), 60, 'the standby removes itself')
    check_nothing_left(n)


@stage(nodes=1, config=CONFIG)
def test_an_api_server_without_its_etcd_proves_nothing(c):
    need_kubesim(c)
    n = c.nodes[0]
    sb.own_pod(c, n, sb.daemon_set(c), NAMES[0], 'r1')
    sb.be(c, n, NAMES[0])
    wait_for(lambda: sb.present(n), 20, 'the standby is written')
    code, body = c.api.call('POST', '/kubesim/faults', {'match': {'client': 'edge-healer', 'path': '^/readyz'}, 'action': 'status', 'status': 500})
    assert code == 200, body
    delete_everything(c)
    primary_to_standby(c, n)
    n.parts['standby'].line('the API server is not ready', 60)
    assert sb.present(n) and os.path.exists(n.path('data', sb.STORE))
    assert c.api.call('DELETE', '/kubesim/faults/%d' % body['rules'][-1]['id'])[0] == 200
    wait_for(lambda: not sb.present(n), 60, 'the standby removes itself')
    check_nothing_left(n)


@stage(nodes=1, config=dict(CONFIG, mode='observe'))
def test_who_only_observes_removes_nothing(c):
    need_kubesim(c)
    n = c.nodes[0]
    sb.own_pod(c, n, sb.daemon_set(c), NAMES[0], 'r1')
    sb.be(c, n, NAMES[0], mode='heal')
    wait_for(lambda: sb.present(n), 20, 'the standby is written')
    n.parts['healer'].kill()
    n.write_config()
    delete_everything(c)
    primary_to_standby(c, n)
    n.parts['standby'].line('would act', 60)
    time.sleep(6)
    assert sb.present(n) and os.path.exists(n.path('data', sb.STORE))
