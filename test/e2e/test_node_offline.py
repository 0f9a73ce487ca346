"""The uplink is down and a node dies: its pods run on the neighbours, and afterwards everything is as the cluster wants it."""
import os
import signal

from stage import check_healthy, stage, wait_for


@stage(config={'kube.offline_after': '3s'})
def test_uplink_refused_node_dies_copies_run_and_are_handed_over(c):
    c.run_web(replicas=6)
    c.offline('refuse')
    lost = c.lose(c.busiest())
    where = c.wait_copies(lost)
    copied = max(r['start'] for r in c.runs() if r['orig'])
    assert len(c.files()) == len(lost), c.files()
    assert set(where.values()) <= {n.name for n in c.living()}, where
    c.mend()                                  # the node stays dead
    c.wait_handover()
    c.assert_never_crowded(lost)
    c.assert_no_hole(6, copied)
    check_healthy(c)


@stage(kubelet_args=('--hang-seconds', '3'))
def test_uplink_blackholed_node_dies_copies_run_and_are_handed_over(c):
    c.run_web(replicas=6)
    c.offline('blackhole')
    lost = c.lose(c.busiest())
    where = c.wait_copies(lost)
    assert len(c.files()) == len(lost), c.files()
    hung = {n.name for n in c.living() if any(e['event'] == 'hung' for e in n.journal())}
    assert hung == set(where.values()), 'kubelets hang in their calls before they start a static pod: %s' % hung
    c.mend()
    c.wait_handover()
    c.assert_never_crowded(lost)


@stage(kubelet_args=('--hang-seconds', '8'), config={'heal.start_timeout': '2s'})
def test_a_kubelet_that_hangs_without_a_gate_is_given_its_time(c):
    """Nobody may close a gate here: slow must not become never. That a refused uplink gives it no more is tested below."""
    c.run_web(replicas=6)
    c.offline('blackhole')
    lost = c.lose(c.busiest())
    where = c.wait_copies(lost)
    hung = {n.name for n in c.living() if any(e['event'] == 'hung' for e in n.journal())}
    assert hung == set(where.values()), hung
    assert not c.rows('withdrawn')
    assert {h['detail'].split('epoch=')[1].split()[0] for h in c.rows('restored')} == {'1'}, 'the first who had its turn'


@stage()
def test_what_may_not_be_restored_is_refused_with_the_reason(c):
    c.create('ConfigMap', 'configmaps', 'settings', data={'a': 'b'})
    c.create('Secret', 'secrets', 'key', stringData={'a': 'b'})
    victim = c.nodes[2]

    def pinned(name, container=None, volume=None, policy=None):
        pod = {'nodeName': victim.name, 'containers': [dict({
            'name': 'c', 'image': 'localhost/busybox:1', 'command': ['/bin/sleep', '100000']}, **container or {})]}
        if volume:
            pod['volumes'] = [dict(volume, name='v')]
            pod['containers'][0]['volumeMounts'] = [{'name': 'v', 'mountPath': '/v'}]
        c.deploy(name, 1, spec=pod, annotations={'edge-healer.io/policy': policy} if policy else None)
    pinned('with-configmap', {'envFrom': [{'configMapRef': {'name': 'settings'}}]})
    pinned('with-secret', volume={'secret': {'secretName': 'key'}})
    pinned('with-pvc', volume={'persistentVolumeClaim': {'claimName': 'data'}})
    pinned('never', policy='never')
    pinned('at-most-once', policy='at-most-once')
    pinned('plain')
    names = {'with-configmap': 'configmap settings is missing', 'with-secret': 'secret key is missing',
             'with-pvc': 'persistentvolumeclaim', 'never': 'policy never'}
    for name in list(names) + ['plain', 'at-most-once']:
        c.wait_ready(name, 1)
    for path in ('configmaps/settings', 'secrets/key'):      # the pods run on without them, a copy could not start
        assert c.api.call('DELETE', '/api/v1/namespaces/%s/%s' % (c.ns, path))[0] == 200
    wait_for(lambda: all(sum('is missing' in w.get('reason', '') for w in n.http('/v1/readiness') or []) == 2 for n in c.nodes), 15,
             'all healers know that they are gone')
    # `plain` may run anywhere: what pinned it to the victim is not in the way of a copy
    c.offline()
    lost = c.lose(victim, 'plain')
    c.wait_copies(lost)
    for n in c.living():
        told = wait_for(lambda n=n: (lambda rows: rows if len(rows) >= 4 else None)(
            {h['pod'].rsplit('-', 2)[0]: h['detail'] for h in n.history() if h['event'] == 'refused'}), 10, '4 refusals on ' + n.name)
        for name, reason in names.items():
            assert reason in told[name].lower(), '%s: %s' % (name, told[name])
        assert n.metric('edge_healer_refused_total{cause="node"}') >= 4
    assert len(c.files()) == 1 and 'plain' in c.files()[0][1], c.files()
    assert len([r for r in c.runs() if r['orig']]) == 1


def by_bid(c, nodes):
    """The one that bids most first: at least some of the lost pods are its turn."""
    bids = {m['node']: m['cpuMilli'] for m in nodes[0].http('/v1/members') if m['status'] == 'alive'}
    return sorted(nodes, key=lambda n: -bids[n.name])


@stage()
def test_first_winner_cannot_write_its_manifest_the_next_takes_over(c):
    c.run_web(replicas=12)
    c.offline()
    victim = c.nodes[2]
    broken, healthy = by_bid(c, c.nodes[:2])
    os.rename(broken.path('manifests'), broken.path('manifests.gone'))
    broken.manifests = lambda: []
    lost = c.lose(victim)
    where = c.wait_copies(lost)
    assert set(where.values()) == {healthy.name}, where
    assert [h for h in broken.history() if h['event'] == 'manifest not written'], 'it was its turn first for some'
    c.assert_never_crowded(lost)


@stage(config={'heal.start_timeout': '3s'})
def test_first_winners_kubelet_is_stuck_the_next_takes_over(c):
    c.run_web(replicas=12)
    c.offline()
    victim = c.nodes[2]
    stuck, healthy = by_bid(c, c.nodes[:2])
    kubelet = stuck.parts['kubelet'].p
    kubelet.send_signal(signal.SIGSTOP)
    lost = c.lose(victim)
    where = c.wait_copies(lost)
    assert set(where.values()) == {healthy.name}, where
    withdrawn = [h for h in stuck.history() if h['event'] == 'withdrawn']
    assert withdrawn and all('did not start' in h['detail'] for h in withdrawn), withdrawn
    kubelet.send_signal(signal.SIGCONT)       # it must find nothing to start
    wait_for(lambda: not stuck.manifests() and not (stuck.http('/v1/status') or {}).get('copies'), 15, 'nothing left there')
    c.wait_copies(lost)
    c.assert_never_crowded(lost)


@stage(config={'heal.start_timeout': '2s'}, kubelet_args=('--start-ms', '6000'))
def test_a_kubelet_that_takes_its_time_is_left_to_it(c):
    """It has admitted the copy: a slow disk or a long init container is no reason to begin again elsewhere."""
    c.run_web(replicas=3)
    c.offline()
    lost = c.lose(c.busiest())
    c.wait_copies(lost)
    assert not c.rows('withdrawn'), c.rows('withdrawn')
    c.assert_never_crowded(lost)
