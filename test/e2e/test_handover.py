"""The link returns in all the ways it can, and copies go: never before something better runs."""
import time

from stage import stage, wait_for


@stage()
def test_node_comes_back_before_the_link_originals_stay_copies_go(c):
    c.run_web(replicas=6)
    c.offline()
    victim = c.busiest()
    lost = c.lose(victim)
    c.wait_copies(lost)
    others = [n for n in c.nodes if n is not victim]
    victim.power_on()
    wait_for(lambda: all(any(m['node'] == victim.name and m['status'] == 'alive' for m in n.http('/v1/members') or []) for n in others),
             30, 'gossip sees the node again')
    assert len(c.copies()) == len(lost), 'the link is away: nobody can know that the originals run'
    c.mend()
    c.wait_handover()
    reasons = {h['detail'].split('"')[1] for h in c.rows('handed over')}
    assert reasons <= {'original is back', 'ReplicaSet has its own pods Ready'} and reasons, reasons
    assert sorted(c.pods_on(victim)) == sorted(lost), 'the original pods are kept, not replaced'
    c.assert_never_crowded(lost)


@stage(config={'reconcile.gone_grace': '3s'})
def test_scaled_to_zero_or_deleted_during_the_outage_copies_go(c):
    c.run_web('scaled', 3)
    c.run_web('deleted', 3)
    c.offline()
    victim = c.busiest('deleted')
    deleted, scaled = c.pods_on(victim, 'deleted'), c.pods_on(victim, 'scaled')
    c.lose(victim, 'deleted')
    c.wait_copies(deleted + scaled)
    c.scale('scaled', 0)
    c.delete_deployment('deleted')
    c.mend()
    back = time.time()
    c.wait_handover('scaled', 0)
    reasons = {}
    for h in c.rows('handed over'):
        reasons.setdefault(h['pod'].split('-')[0], set()).add(h['detail'].split('"')[1])
    assert reasons.get('deleted') == {'ReplicaSet is gone'}, reasons
    assert not scaled or reasons['scaled'] <= {'ReplicaSet is scaled to 0'}, reasons
    for uid in deleted:                       # a stale mirror looks the same: not before the grace
        assert c.copy_runs(uid)[-1]['end'] - back > 2, c.copy_runs(uid)
