"""A site of two: neither has a majority alone, the one that still reaches its gateway goes on."""
from net_stage import stage


@stage(nodes=2)
def test_the_survivor_of_two_goes_on_while_its_gateway_answers(c):
    c.run_web(replicas=4)
    c.offline()
    lost = c.lose(c.busiest())
    survivor, = c.living()
    where = c.wait_copies(lost)
    assert set(where.values()) == {survivor.name}, where
    assert survivor.http('/v1/status')['majority'] is True
    c.mend()
    c.settle(4)


@stage(nodes=2)
def test_the_one_of_two_without_its_gateway_stays_passive(c):
    c.run_web(replicas=4)
    cut, other = c.nodes
    c.offline()
    lost = c.pods_on(cut)
    assert lost and c.pods_on(other)
    c.unplug(cut)
    c.wait_failed([other], [cut])
    where = c.wait_copies(lost)
    assert set(where.values()) == {other.name}, where
    c.unplug(cut, down=False)
    c.wait_together()
    c.mend()
    c.settle(4)
    c.assert_passive([cut])
    c.assert_crowd(lost, at_most=2)
