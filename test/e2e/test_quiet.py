"""What must not start anything."""
from killed import waiting
from stage import stage, wait_for


@stage()
def test_api_loss_with_healthy_pods_causes_no_action(c):
    c.run_web(replicas=6)
    before = c.done()
    c.offline()
    c.nothing_happens(6, before)
    serf = c.nodes[1].parts['serf']
    serf.kill()
    c.nodes[1].start_serf('%s:7946' % c.nodes[0].ip)
    c.nothing_happens(14, before)
    assert len([r for r in c.runs() if not r['end']]) == 6


@stage()
def test_only_the_serf_agent_of_a_node_dies_nothing_is_restored(c):
    c.run_web(replicas=6)
    before = c.done()
    c.offline()
    victim = c.nodes[2]
    victim.parts['serf'].kill()
    for n in c.nodes[:2]:
        wait_for(lambda n=n: (c.suspect(n, victim) or {}).get('state') == 'refuted', 40, '%s refutes the suspicion' % n.name)
    c.nothing_happens(6, before)
    states = {(c.suspect(n, victim) or {}).get('state') for n in c.nodes[:2]}
    assert 'lost' not in states, states
    assert len([r for r in c.runs() if not r['end']]) == 6


@stage()
def test_a_minority_restores_nothing(c):
    c.run_web(replicas=6)
    before = c.done()
    c.offline()
    last, *dead = c.nodes
    for n in dead:
        n.power_off()
    wait_for(lambda: sum(m['status'] == 'failed' for m in last.http('/v1/members') or []) == 2, 40, 'gossip says both failed')
    wait_for(lambda: last.http('/v1/status')['majority'] is False, 5, 'it knows that it is a minority')
    told = wait_for(lambda: c.rows('breaker open', nodes=[last]), 5, 'and that it is a mass loss')
    assert len(told) == 1 and 'budget.max_lost_nodes=50%' in told[0]['detail'], told
    wait_for(lambda: 'BreakerOpen' in waiting(last), 5, 'its Event waits')
    c.nothing_happens(6, [x for x in before])


@stage(config={'mode': 'observe'})
def test_mode_observe_does_nothing_and_reports_everything(c):
    c.run_web(replicas=6)
    c.offline()
    victim = c.busiest()
    lost = c.lose(victim)
    told = wait_for(lambda: (lambda rows: rows if len({h['pod'] for h in rows}) == len(lost) else None)(c.rows('would act')), 40,
                    'what would be done is told for each of the %d pods' % len(lost))
    assert all('action=restore' in h['detail'] for h in told), told
    assert c.rows('node lost')
    assert sum(n.metric('edge_healer_observed_total') for n in c.living()) >= len(lost)
    assert {n.http('/v1/status')['mode'] for n in c.living()} == {'observe'}
    c.nothing_happens(4)
