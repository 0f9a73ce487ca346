"""etcd is restored from a backup: versions go back, and what was mirrored last is not what there is."""
import time

from stage import Skip, stage, wait_for

LATER = 600                                  # writes between the backup and its restore: no test is so long that they come again


def backup(c):
    if c.given_kubeconfig:
        raise Skip('only a simulated control plane can be restored from a backup at will')
    c.create('ConfigMap', 'configmaps', 'clock', data={'tick': '0'})
    c.api.call('POST', '/kubesim/backup', {})


def time_passes(c):
    for i in range(LATER):
        c.api.call('PATCH', '/api/v1/namespaces/%s/configmaps/clock' % c.ns, {'data': {'tick': str(i + 1)}}, 'application/merge-patch+json')
    for pod in c.own_pods('web'):            # what is mirrored has the late versions too
        code, body = c.api.call('PATCH', '/api/v1/namespaces/%s/pods/%s' % (c.ns, pod['metadata']['name']),
                                {'metadata': {'annotations': {'late': 'yes'}}}, 'application/merge-patch+json')
        assert code == 200 and int(body['metadata']['resourceVersion']) > LATER, body


def restore(c):
    """As after a restore on real clusters, kubelets are restarted: their own watches have no cure for it."""
    code, body = c.api.call('POST', '/kubesim/restore', {})
    assert code == 200, body
    for n in c.nodes:
        if n.parts['kubelet'].alive():
            n.parts['kubelet'].kill()
            n.start_kubelet()


def mirrored(n, c):
    return {p['uid']: p.get('node') for p in n.http('/v1/pods?namespace=' + c.ns) or []}


def existing(c):
    return {p['metadata']['uid']: p['spec'].get('nodeName') for p in c.api.pods(c.ns)}


@stage(scheduler=False)
def test_restored_while_the_link_is_up(c):
    """Mirrors show what exists, and a Pending pod is bound."""
    c.run_web(replicas=3)
    backup(c)
    c.scale('web', 6)
    c.wait_ready('web', 6)
    later = {p['metadata']['uid'] for p in c.own_pods('web')}
    c.wait_mirrored(later)
    time_passes(c)
    restore(c)
    c.scale('web', 4)
    pods = c.wait_ready('web', 4)
    assert {p['metadata']['uid'] for p in pods} != later
    for n in c.living():
        wait_for(lambda n=n: mirrored(n, c) == existing(c), 30, 'the mirror of %s shows what exists' % n.name)
        wait_for(lambda n=n: n.http('/readyz'), 20, n.name + ' is ready')
        assert n.metric('edge_healer_history_rewound_total') >= 1
        assert [h for h in n.history() if h['event'] == 'history went back']


@stage(scheduler=False)
def test_restored_while_a_node_was_off_that_boots_offline(c):
    """Its mirror has the higher versions, its peers the later word: what they know to run elsewhere is not started."""
    c.run_web(replicas=6)
    backup(c)
    time_passes(c)
    node = c.busiest()
    mine = set(c.pods_on(node))
    c.wait_mirrored(mine)
    node.power_off()
    restore(c)

    def replaced():
        pods = {p['metadata']['uid']: p for p in c.wait_ready('web', 6, seconds=c.patience)}
        return not mine & set(pods) and pods
    pods = wait_for(replaced, c.patience, 'the pods of the dead node are replaced')
    assert int(c.api.get('/api/v1/pods')['metadata']['resourceVersion']) < LATER, 'its versions are still the higher ones'
    c.wait_mirrored(set(pods))
    for n in c.living():
        n.restart_healer()                   # what they know is what their stores say
    c.wait_whole()
    c.cut_uplink()
    c.wait_link('offline')
    node.power_on()
    wait_for(lambda: ' mine ' in node.parts['healer'].text(), 40, 'it has asked')
    end = time.monotonic() + 15
    while time.monotonic() < end:
        assert not [r for r in c.runs() if r['orig'] in mine and r['node'] == node.name and not r['end']], 'it started an old pod'
        time.sleep(0.5)
    c.mend()
    wait_for(lambda: mirrored(node, c) == existing(c), 30, 'its mirror shows what exists')


@stage()
def test_nothing_acts_on_a_mirror_of_another_history(c):
    """The link is lost before everything has been listed anew: what a healer holds then says nothing."""
    c.run_web(replicas=6)
    backup(c)
    time_passes(c)
    c.wait_mirrored({p['metadata']['uid'] for p in c.own_pods('web')})
    slow = [{'match': {'client': 'edge-healer', 'path': 'sendInitialEvents'}, 'action': 'delay', 'delayMs': 600000}]
    code, body = c.api.call('POST', '/kubesim/faults', slow)
    assert code == 200, body
    restore(c)
    for n in c.nodes:
        wait_for(lambda n=n: [h for h in n.history() if h['event'] == 'history went back'], 30, n.name + ' has seen it')
        assert n.http('/readyz') is None
        mirror = next(x for x in n.http('/v1/status')['checks'] if x['name'] == 'mirror')
        assert 'history went back' in mirror['note'], mirror
    c.cut_uplink()
    c.wait_link('offline')
    node = c.busiest()
    lost = c.lose(node)
    wait_for(lambda: all(c.suspect(n, node) for n in c.living()), 30, 'its neighbours miss it')
    c.nothing_happens(15)
    c.api.call('DELETE', '/kubesim/faults')
    c.mend()
    wait_for(lambda: not set(lost) & {p['metadata']['uid'] for p in c.own_pods('web')}, c.patience + 30, 'healed when all is known again')
    wait_for(lambda: all(n.http('/readyz') for n in c.living()), 30, 'all are ready')
