"""A node's store is lost while the API server is away: it knows none of its pods, its neighbours do."""
import os
import time

from stage import stage, wait_for

SOON = 30                                    # seconds: about ten, and what a busy test machine adds
SETTLED = 36                                 # seconds that members have been there before one is heard: HEAL_BLANK_SETTLE_MS and a bit


def wipe(node):
    for name in os.listdir(node.path('data')):
        os.unlink(node.path('data', name))


def settle(c):
    time.sleep(max(0.0, c.began + SETTLED - time.monotonic()))


def pods_of(c, node):
    return [p for p in c.own_pods('web') if p['spec'].get('nodeName') == node.name]


@stage(kubelet_args=('--label', 'topology.kubernetes.io/zone=shop-1'))
def test_a_node_that_was_wiped_and_boots_offline(c):
    """Its pods run on the neighbours; it says that it has no mirror, and of which site it is they remember."""
    c.began = time.monotonic()
    c.run_web(replicas=6)
    node = c.busiest()
    mine = c.pods_on(node)
    others = {u for n in c.nodes if n is not node for u in c.pods_on(n)}
    c.offline()
    settle(c)
    node.power_off()
    wipe(node)
    node.power_on()
    where = c.wait_copies(mine, SOON)
    assert node.name not in where.values(), where
    c.assert_never_crowded(mine)
    assert not [r for r in c.runs() if r['orig'] in others], 'pods of the neighbours run already'
    seen = {m['node']: m.get('mirror') for m in next(n for n in c.living() if n is not node).http('/v1/members')}
    assert seen[node.name] == 'none' and list(seen.values()).count('none') == 1, seen
    c.mend()
    c.wait_handover()
    wait_for(lambda: all(not m.get('mirror') for n in c.living() for m in n.http('/v1/members')), 30, 'all have a mirror again')


@stage()
def test_a_node_that_was_wiped_and_whose_pods_all_run(c):
    """Nothing is started twice; what ends there later is started by a neighbour."""
    c.began = time.monotonic()
    c.run_web(replicas=6)
    node = c.busiest()
    c.offline()
    settle(c)
    node.parts['healer'].kill()
    wipe(node)
    node.start_healer()
    told = ['member without a mirror', 'node=%s another_boot=0' % node.name, 'not_running=0']
    wait_for(lambda: all(any(all(t in line for t in told) for line in n.parts['healer'].text().splitlines())
                         for n in c.living() if n is not node), SOON, 'its neighbours have heard that all run')
    c.nothing_happens(15)
    pod = pods_of(c, node)[0]
    node.vanish(pod)
    began = time.monotonic()
    where = c.wait_copies([pod['metadata']['uid']], SOON)
    assert node.name not in where.values(), where
    assert time.monotonic() - began > 4, 'not before it has said so for local_grace'
    c.mend()
    c.wait_whole()


@stage()
def test_a_rebooted_node_is_answered_by_one_without_a_mirror(c):
    """In a site of three the two others must answer: one that knows nothing says so instead of being silent."""
    c.run_web(replicas=6)
    wiped, node = c.nodes[:2]
    mine = c.pods_on(node)
    c.offline()
    wiped.parts['healer'].kill()
    wipe(wiped)
    wiped.start_healer()
    wait_for(lambda: (wiped.http('/v1/status') or {}).get('link', {}).get('state') == 'offline', 20, 'it is offline')
    node.power_off()
    node.power_on()
    where = c.wait_copies(mine, 60)
    assert set(where.values()) == {node.name}, where
