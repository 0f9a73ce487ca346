"""Claims that cross: where more than one node goes at once, who acts says so first, and starts nothing that a better claim has taken."""
from killed import arm, check_clean, deaths, in_sync
from stage import stage, wait_for


def lose_two(c):
    """Two nodes lose power at the same moment, with the uplink down: the uids of what ran there."""
    pods = sorted(c.living(), key=lambda n: len(c.pods_on(n)))[-2:]
    lost = [uid for n in pods for uid in c.pods_on(n)]
    for n in pods:
        n.power_off()
    return lost


def who_waited(c):
    found = []
    for n in c.living():
        with open(n.parts['healer'].log, 'rb') as f:
            found += [n.name] * (b'waiting copies=' in f.read())
    return found


@stage(nodes=5)
def test_two_nodes_die_at_once_and_each_pod_is_started_by_one(c):
    c.run_web(replicas=20, cpu='50m')
    c.offline()
    lost = lose_two(c)
    c.wait_copies(lost)
    assert who_waited(c), 'nobody told its claim before it acted'
    c.assert_never_crowded(lost)
    c.mend_uplink()
    c.wait_handover(replicas=20)
    check_clean(c)


@stage(nodes=5)
def test_killed_between_a_claim_that_waits_and_its_manifest(c):
    c.run_web(replicas=20, cpu='50m')
    armed = {n: 'restore.bundle' for n in c.nodes}
    arm(c, armed)
    in_sync(c, list(armed))
    c.offline()
    lost = lose_two(c)
    deaths(c, {n: p for n, p in armed.items() if n in c.living()})
    assert who_waited(c)
    c.wait_copies(lost)
    check_clean(c)
    c.mend_uplink()
    c.wait_handover(replicas=20)
    check_clean(c)
