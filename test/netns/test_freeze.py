"""A kubelet that was started without the API server adds static pods and does not remove them: such a copy is held still."""
from net_stage import stage, wait_for


@stage(nodes=3, config={'heal.minority': 'active', 'budget.max_lost_nodes': '100%', 'serf.peer_ttl': '5s'})
def test_the_losing_copy_of_a_kubelet_that_cannot_delete_is_frozen(c):
    """Both parts of a split site restore the pods of a third node; when they meet one of each pair must end, and kubelet does not end it."""
    c.run_web(replicas=6)
    one, two, dead = c.nodes
    c.offline()
    for n in (one, two):
        n.parts['kubelet'].kill()
        n.start_kubelet()
        n.parts['kubelet'].line('kubelet %s: ready' % n.name)
    c.partition([one], [two])
    lost = c.lose(dead)
    for n in (one, two):
        wait_for(lambda n=n: {r['orig'] for r in c.runs() if r['node'] == n.name and not r['end']} >= set(lost), 60,
                 '%s restores the pods of %s' % (n.name, dead.name))
    c.join()
    c.wait_together()

    def settled():
        """By the kubelets' journals, in which frozen is not running."""
        now = [r['orig'] for r in c.running() if r['orig'] in lost]
        return sorted(now) == sorted(lost)
    wait_for(settled, 60, 'one copy of each runs')
    wait_for(lambda: c.rows('copy frozen', nodes=[one, two]), 5, 'the freezing is told: after it was read back')
    frozen = c.rows('copy frozen', nodes=[one, two])
    assert all('was restarted' in r['detail'] for r in frozen), frozen
    c.mend()
    c.settle(6)
