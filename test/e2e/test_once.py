"""At most once: nobody starts such a pod before its node must have stopped it."""
import time

from stage import stage, wait_for

ONCE = {'edge-healer.io/policy': 'at-most-once'}


@stage(config={'heal.stop_after': '6s'})
def test_a_lost_pod_is_started_by_one_after_the_start_delay(c):
    c.run_web('single', 2, annotations=ONCE)
    wait_for(lambda: all((n.http('/v1/status') or {}).get('lease', {}).get('held') for n in c.living()), 20, 'leases')
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
    wait_for(lambda: all((n.http('/v1/status') or {}).get('lease', {}).get('held') for n in c.living()), 20, 'leases')
    node = c.busiest('single')
    mine = c.pods_on(node, 'single')
    c.offline()
    node.parts['serf'].kill()
    wait_for(lambda: {h['detail'].split('reason')[0] for h in node.history() if h['event'] == 'pod stopped'}, 20, 'they are frozen')
    assert len([h for h in node.history() if h['event'] == 'pod stopped']) == len(mine)
    node.start_serf('%s:7946' % next(n for n in c.nodes if n is not node).ip)
    wait_for(lambda: len([h for h in node.history() if h['event'] == 'pod resumed']) == len(mine), 40, 'they run again')
