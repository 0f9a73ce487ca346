"""A node boots without the API server: kubelet starts none of its pods, we do, unless the neighbours have them."""
import time

from stage import Skip, levels, longest, stage, wait_for


@stage()
def test_a_rebooted_node_brings_its_own_pods_back(c):
    c.run_web(replicas=6)
    node = c.busiest()
    mine = c.pods_on(node)
    c.offline()
    node.power_off()
    node.power_on()
    c.wait_copies(mine)
    where = {r['orig']: r['node'] for r in c.runs() if r['orig'] and not r['end']}
    assert set(where) == set(mine), where
    c.assert_never_crowded(mine)
    c.mend()
    c.wait_handover()


@stage()
def test_a_whole_site_boots_without_the_api_server(c):
    c.run_web(replicas=6)
    pods = {u: n.name for n in c.nodes for u in c.pods_on(n)}
    c.offline()
    for n in c.nodes:
        n.power_off()
    for n in c.nodes:
        n.power_on()

    def all_run():
        ran = {r['orig']: r['node'] for r in c.runs() if r['orig'] and not r['end']}
        return set(ran) == set(pods) and ran
    wait_for(all_run, 60, 'all six run as copies')
    c.assert_never_crowded(pods, most=3)


@stage()
def test_a_pod_that_vanishes_is_brought_back_here(c):
    c.run_web(replicas=6)
    node = c.busiest()
    pod = next(p for p in c.own_pods('web') if p['spec']['nodeName'] == node.name)
    uid = pod['metadata']['uid']
    c.offline()
    wait_for(lambda: node.metric('edge_healer_local_pods'), 10, 'it has seen its pods run')
    node.vanish(pod)
    c.wait_copies([uid], 30)
    assert [r['node'] for r in c.runs() if r['orig'] == uid] == [node.name]


@stage(kubelet_args=('--cpu', '4'))
def test_a_full_node_that_booted_gets_its_own_pods_back(c):
    """Its copies have the room of the pods that they stand in for: kubelet refuses those, and nobody has room for others."""
    c.run_web(replicas=6, cpu='1500m')
    node = c.busiest()
    mine = c.pods_on(node)
    c.offline()
    node.power_off()
    node.power_on()
    c.wait_copies(mine)
    began = time.time()
    c.mend()
    c.wait_handover()
    reasons = [h['detail'] for h in c.rows('handed over')]
    assert len(reasons) == len(mine) and any('room nowhere else' in r for r in reasons), reasons
    hole = longest(levels(c.runs(), lambda r: True), lambda count: count < 5, began, time.time())
    assert hole == 0, 'more than one was missing at once for %.3f s' % hole


@stage()
def test_a_kubelet_that_is_restarted_in_the_outage_is_told(c):
    """It adds static pods and removes none: that is said before anybody relies on it."""
    c.run_web(replicas=3)
    node, other = c.nodes[:2]
    c.offline()
    wait_for(lambda: '[+]kubelet' in (node.http('/readyz?verbose') or ''), 10, 'all is well with kubelet')
    node.parts['kubelet'].kill()
    node.start_kubelet()
    wait_for(lambda: '[~]kubelet' in (node.http('/readyz?verbose') or ''), 10, 'it is seen')
    assert node.http('/v1/status')['kubeletRestartedOffline'] and not other.http('/v1/status')['kubeletRestartedOffline']
    assert [h['by'] for h in c.rows('kubelet restarted')] == [node.name]
    c.mend()
    wait_for(lambda: '[+]kubelet' in (node.http('/readyz?verbose') or ''), 20, 'it removes again what it should')


@stage()
def test_a_kubelet_that_booted_offline_is_given_no_pod_with_a_runtime_class(c):
    """It learns what a class is from the API server alone, and would try for ever."""
    if c.given_kubeconfig:
        raise Skip('the RuntimeClass would have to be there')
    c.run_web('plain', 6)
    c.run_web('sealed', 6, spec={'runtimeClassName': 'gvisor'})
    node = next(n for n in c.nodes if c.pods_on(n, 'plain') and c.pods_on(n, 'sealed'))
    plain, sealed = c.pods_on(node, 'plain'), c.pods_on(node, 'sealed')
    names = {p['metadata']['name'] for p in c.own_pods('sealed') if p['metadata']['uid'] in sealed}
    c.offline()
    node.power_off()
    node.power_on()

    def told():
        rows = [h for h in node.history() if h['event'] == 'refused' and h['pod'] in names]
        return {h['pod'] for h in rows} == names and {h['detail'] for h in rows}
    reasons = wait_for(told, 60, 'they are refused there')
    assert all('runtimeClassName gvisor' in text and 'started offline' in text for text in reasons), reasons
    wait_for(lambda: set(plain) <= {r['orig'] for r in c.runs() if not r['end']}, 60, 'the others run again')
    assert not [r for r in c.runs() if r['orig'] in sealed and r['node'] == node.name], 'none was given to that kubelet'
