"""At most once: nobody starts such a pod before its node must have stopped it."""
import signal
import time

from stage import stage, wait_for

ONCE = {'edge-healer.io/policy': 'at-most-once'}


def held(c):
    wait_for(lambda: all((n.http('/v1/status') or {}).get('lease', {}).get('held') for n in c.living()), 20, 'leases')


@stage(config={'heal.stop_after': '6s'})
def test_a_lost_pod_is_started_by_one_after_the_start_delay(c):
    c.run_web('single', 2, annotations=ONCE)
    held(c)
    victim = c.busiest('single')
    c.offline()
    began = time.time()
    lost = c.lose(victim, 'single')
    c.wait_copies(lost)
    first = min(r['start'] for r in c.runs() if r['orig'] in lost)
    assert first - began > 6, 'its node could have run it for stop_after: started %.1f s after the loss' % (first - began)
    c.assert_never_crowded(lost)
    assert not c.rows('pod stopped'), 'the living nodes hold their leases'


@stage(config={'heal.stop_after': '6s'})
def test_a_node_without_its_serf_stops_such_pods_and_resumes_them(c):
    c.run_web('single', 3, annotations=ONCE)
    held(c)
    node = c.busiest('single')
    mine = c.pods_on(node, 'single')
    c.offline()
    node.parts['serf'].kill()
    wait_for(lambda: {h['detail'].split('reason')[0] for h in node.history() if h['event'] == 'pod stopped'}, 20, 'they are frozen')
    assert len([h for h in node.history() if h['event'] == 'pod stopped']) == len(mine)
    node.start_serf('%s:7946' % next(n for n in c.nodes if n is not node).ip)
    wait_for(lambda: len([h for h in node.history() if h['event'] == 'pod resumed']) == len(mine), 40, 'they run again')


@stage(config={'heal.stop_after': '6s'})
def test_a_pod_that_cannot_be_frozen_is_told(c):
    """Nobody may take a freezer that was asked for a pod that stands still."""
    c.run_web('single', 3, annotations=ONCE)
    held(c)
    node = c.busiest('single')
    stiff, *others = [p for p in c.own_pods('single') if p['spec']['nodeName'] == node.name]
    name = stiff['metadata']['name']
    node.kubelet_control('stiffen %s %s' % (c.ns, name))
    c.offline()
    node.parts['serf'].kill()
    told = wait_for(lambda: [h for h in node.history() if h['event'] == 'pod not stopped'], 20, 'it is told')
    assert [h['pod'] for h in told] == [name], told
    assert {h['pod'] for h in node.history() if h['event'] == 'pod stopped'} <= {p['metadata']['name'] for p in others}
    node.kubelet_control('relax %s %s' % (c.ns, name))
    wait_for(lambda: name in [h['pod'] for h in node.history() if h['event'] == 'pod stopped'], 10, 'it stands still after all')


@stage(config={'heal.stop_after': '6s'}, kubelet_args=('--cgroup-style', 'v1'))
def test_under_cgroup_v1_a_frozen_copy_goes_when_the_link_is_back(c):
    """Version 1 does not kill what is frozen: a copy that stands still would stay for ever."""
    c.run_web('single', 2, annotations=ONCE, spec={'terminationGracePeriodSeconds': 1})
    held(c)
    victim = c.busiest('single')
    c.offline()
    lost = c.lose(victim, 'single')
    c.wait_copies(lost)
    victim.power_on()
    wait_for(lambda: all(any(m['node'] == victim.name and m['status'] == 'alive' for m in n.http('/v1/members') or []) for n in c.nodes),
             30, 'gossip sees the node again')
    c.mend()
    wait_for(lambda: len(c.rows('copy frozen')) == len(lost), 20, 'copies end, frozen first')
    wait_for(lambda: len(c.rows('copy gone')) == len(lost), 60, 'they go')
    assert len(c.rows('copy let go')) == len(lost)


@stage(config={'mode': 'observe'})
def test_from_observe_to_heal_no_healthy_pod_is_stopped(c):
    """The recommended way in: look for a while, then let it act."""
    c.run_web('single', 3, annotations=ONCE)
    time.sleep(4)                             # longer than the first lease may take
    c.config['mode'] = 'heal'
    for n in c.nodes:
        n.write_config()
        n.parts['healer'].p.send_signal(signal.SIGHUP)
    held(c)
    time.sleep(2)
    assert not c.rows('pod stopped'), c.rows('pod stopped')
