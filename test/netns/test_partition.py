"""The site is split while the uplink is down: one side may act, no pod runs more than once too often, and healing leaves no trace."""
from net_stage import stage, wait_for


def split(c, some):
    """Black hole, then these nodes are cut off: (pods that run there, all the others)."""
    rest = [n for n in c.nodes if n not in some]
    c.offline()
    lost = [uid for n in some for uid in c.pods_on(n)]
    others = c.all_pods() - set(lost)
    assert lost and others
    c.partition(some)
    c.wait_failed(rest, some)
    return lost, others


def copies_elsewhere(c, some, lost, others):
    """The majority restores what the minority may still run; the minority does nothing."""
    where = c.wait_copies(lost)
    assert not set(where.values()) & {n.name for n in some}, where
    c.assert_passive(some)
    c.assert_crowd(lost, at_most=2)
    c.assert_untouched(others)


def heal(c, first, lost, others, replicas):
    """Both ends of the outage, in that order, and what must be true at the end."""
    for step in (first, 'link' if first == 'partition' else 'partition'):
        if step == 'link':
            c.mend()
        else:
            c.join()
            if first == 'partition':
                c.wait_together()            # offline, and all in one site again
        c.assert_untouched(others)
        c.assert_crowd(lost, at_most=2)
    c.settle(replicas)
    c.assert_crowd(lost, at_most=2)
    c.assert_untouched(others)


@stage(nodes=5)
def test_one_node_cut_off_the_partition_heals_first(c):
    c.run_web(replicas=10)
    some = c.nodes[:1]
    lost, others = split(c, some)
    copies_elsewhere(c, some, lost, others)
    heal(c, 'partition', lost, others, 10)


@stage(nodes=5, v6=True)
def test_one_node_cut_off_the_link_heals_first_ipv6(c):
    c.run_web(replicas=10)
    some = c.nodes[4:]
    lost, others = split(c, some)
    copies_elsewhere(c, some, lost, others)
    heal(c, 'link', lost, others, 10)


@stage(nodes=5)
def test_two_against_three_the_minority_does_nothing(c):
    c.run_web(replicas=10)
    some = c.nodes[:2]
    lost, others = split(c, some)
    copies_elsewhere(c, some, lost, others)
    heal(c, 'partition', lost, others, 10)


@stage(nodes=9)
def test_nine_nodes_four_against_five(c):
    c.run_web(replicas=18)
    some = c.nodes[:4]
    lost, others = split(c, some)
    copies_elsewhere(c, some, lost, others)
    heal(c, 'link', lost, others, 18)


def one_way(c, sources, targets):
    """Packets from the sources to the targets vanish; whatever each side makes of it, then all is healed."""
    c.offline()
    pods = c.all_pods()
    victim = sources[0] if len(sources) == 1 else targets[0]
    lost = set(c.pods_on(victim))
    c.cut(sources, targets)
    wait_for(lambda: any(m['status'] == 'failed' for n in c.nodes for m in n.http('/v1/members') or []), 40,
             'somebody is called failed')
    c.assert_untouched(pods - lost)
    c.assert_crowd(pods, at_most=2)
    c.assert_passive([victim])
    c.join()
    c.mend()
    c.settle(10)
    c.assert_crowd(pods, at_most=2)
    c.assert_untouched(pods - lost)


@stage(nodes=5)
def test_one_way_only_a_node_that_cannot_send_then_one_that_cannot_receive(c):
    c.run_web(replicas=10)
    one_way(c, c.nodes[:1], c.nodes[1:])
    one_way(c, c.nodes[:4], c.nodes[4:])


@stage(nodes=5, config={'heal.stop_after': '3s'})
def test_at_most_once_never_overlaps(c):
    c.run_web(replicas=10, annotations={'edge-healer.io/policy': 'at-most-once'})
    some = c.nodes[:1]
    lost, others = split(c, some)
    c.wait_copies(lost, 25)
    c.assert_crowd(lost, at_most=1)
    c.assert_passive(some)
    c.join()
    c.wait_together()
    c.assert_crowd(lost, at_most=1)
    c.mend()
    c.settle(10)
    c.assert_crowd(lost, at_most=1)
    c.assert_untouched(others)
