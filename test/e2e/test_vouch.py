"""A node dies while some of the others reach the API server: who brings its pods back, and who waits for whom."""
import time

from stage import Skip, check_healthy, stage, wait_for

HOLD = 30                                    # HEAL_VOUCH_MS


def alone(c, n):
    """This node's uplink is cut, and nobody else's."""
    n.uplink('refuse')
    wait_for(lambda: n.http('/v1/status')['link']['state'] == 'offline', 20, '%s is offline' % n.name)
    wait_for(lambda: all(any(m['node'] == x.name and m['api'] == (x is not n) for m in y.http('/v1/members'))
                         for y in c.living() for x in c.living()), 40, 'all know who is online')


def deletes_are_refused(c):
    """Its role lets a healer read everything and delete nothing."""
    code, body = c.api.call('POST', '/kubesim/faults', {
        'match': {'client': 'edge-healer', 'method': 'DELETE', 'path': '/pods/'}, 'action': 'status', 'status': 403})
    assert code == 200, body


@stage(speed=1)
def test_who_says_that_it_is_online_and_may_delete_nothing_holds_the_others_for_30_s(c):
    if c.given_kubeconfig:
        raise Skip('needs faults of the API server')
    c.run_web(replicas=6)
    c.wait_mirrored([p['metadata']['uid'] for p in c.own_pods('web')])
    n1, n2, victim = c.nodes
    deletes_are_refused(c)
    alone(c, n1)
    lost = c.lose(victim)
    wait_for(lambda: (c.suspect(n1, victim) or {}).get('state') == 'lost', 40, 'it is lost')
    began = time.monotonic()
    c.nothing_happens(HOLD - 5, c.done())
    assert c.wait_copies(lost, 60) == dict.fromkeys(lost, n1.name)
    took = time.monotonic() - began
    print('restored %.0f s after the verdict' % took)
    assert took < HOLD + 15, took
    assert 'outcome=forbidden' in n2.parts['healer'].text(), 'the other one has tried: ' + n2.parts['healer'].text()[-500:]
    assert n2.http('/v1/status')['link']['state'] == 'online', 'and it is online all the time'
    assert n1.parts['healer'].text().count('fate from=' + n2.name) >= 2, n1.parts['healer'].text()[-800:]
    check_healthy(c)


@stage(nodes=4, speed=1)
def test_who_alone_lost_its_uplink_starts_nothing_that_the_others_heal_online(c):
    c.run_web(replicas=8)
    c.wait_mirrored([p['metadata']['uid'] for p in c.own_pods('web')])
    n1, victim = c.nodes[0], c.nodes[3]
    alone(c, n1)
    before = set(c.pods_on(victim))
    c.lose(victim)
    wait_for(lambda: not before & {p['metadata']['uid'] for p in c.own_pods('web')}, 40, 'its pods are replaced')
    end = time.monotonic() + HOLD + 20
    while time.monotonic() < end:
        assert not n1.manifests() and not c.copies(), 'nothing is started twice'
        time.sleep(0.5)
    for n in c.nodes[1:3]:                   # now nobody is online, and n1's mirror still shows the old pods
        n.uplink('refuse')
    c.wait_link('offline')
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert not n1.manifests() and not c.copies(), 'what the cluster has replaced is not restored'
        time.sleep(0.5)
    check_healthy(c)
