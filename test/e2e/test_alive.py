"""Alive or lost: a node is known by its identity. An open port is not one, and one voice is no veto."""
import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

from stage import check_healthy, stage, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'kubesim'))
import serving  # noqa: E402

KUBELET_PORT, HTTP_PORT, SERF_PORT = 10250, 8000, 7946
ONCE = {'edge-healer.io/policy': 'at-most-once'}
DOUBT_S = 8
DOUBT = {'heal.doubt': '%ds' % DOUBT_S}
NOTICED_S = 15                              # serf (local profile) has noticed, and its grace and all questions are over
FLAP_S = 6                                  # a node that answered must be silent for so long


@contextlib.contextmanager
def listener(ip, port, context=None):
    """Another machine at this address: it accepts, shows a certificate if it has one, and says nothing. Gives the list of its clients."""
    s, clients = socket.socket(), []
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((ip, port))
    s.listen(64)

    def shake(client):
        with contextlib.suppress(OSError):
            client.settimeout(3)
            clients.append(context.wrap_socket(client, server_side=True))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client = s.accept()[0]
                clients.append(client)
                if context:
                    threading.Thread(target=shake, args=(client,), daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
    try:
        yield clients
    finally:
        s.shutdown(socket.SHUT_RDWR)
        s.close()
        for client in clients:
            client.close()


@contextlib.contextmanager
def foreign_machine(c, ip):
    other = os.path.join(c.dir, 'foreign')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*serving.make(other, 'coffee-machine'))
    with listener(ip, KUBELET_PORT, context), listener(ip, HTTP_PORT) as clients:
        yield clients


def known(c):
    """Every healer knows every other kubelet's certificate."""
    wait_for(lambda: all(m.get('kubeletCertificate') for n in c.living() for m in n.http('/v1/members') or [] if m['node'] != n.name),
             30, 'the certificates of all kubelets are known')


@stage(config=DOUBT, kubelet_args=('--serving-name', 'some-machine'))
def test_a_healer_is_oom_killed_and_kubelet_and_pods_are_fine(c):
    """Whatever its certificate names: it is the one that was seen while the node was a member, and a healer that starts again knows it."""
    c.run_web(replicas=6)
    known(c)
    victim = c.busiest()
    c.offline()
    mine = c.pods_on(victim)
    for part in ('serf', 'healer'):
        victim.parts[part].kill(9)
    others = c.living()
    for n in others:
        wait_for(lambda n=n: (c.suspect(n, victim) or {}).get('healerDead'), 40, '%s knows that only the healer is dead' % n.name)
    c.nothing_happens(DOUBT_S + FLAP_S + 4)
    others[0].restart_healer()
    wait_for(lambda: (c.suspect(others[0], victim) or {}).get('healerDead'), 40, 'it knows it still')
    c.nothing_happens(DOUBT_S + FLAP_S + 4)
    told = c.rows('healer dead')
    assert {(h['by'], h['node']) for h in told} == {(n.name, victim.name) for n in others}, told
    assert not c.rows('node lost')
    victim.power_off()                      # later its power goes too
    c.wait_copies(mine)
    c.mend()
    c.wait_handover()
    check_healthy(c)


@stage(config=dict(DOUBT, **{'heal.stop_after': '4s'}))
def test_dhcp_gives_a_dead_nodes_address_to_another_machine(c):
    """Its ports accept and show no identity of the node: that delays what may run twice, and forbids what may not."""
    c.run_web(replicas=6)
    c.run_web('single', 3, annotations=ONCE)
    wait_for(lambda: all((n.http('/v1/status') or {}).get('lease', {}).get('held') for n in c.nodes), 20, 'leases')
    victim = max(c.nodes, key=lambda n: len(c.pods_on(n, 'single')))
    once = c.pods_on(victim, 'single')
    c.offline()
    mine = c.pods_on(victim)
    assert mine and once
    victim.power_off()
    with foreign_machine(c, victim.ip) as clients:
        wait_for(lambda: all((c.suspect(n, victim) or {}).get('doubtUntil') for n in c.living()), 30, 'all doubt')
        began = time.time()
        c.wait_copies(mine)
        first = min(r['start'] for r in c.runs() if r['orig'] in mine)
        assert DOUBT_S - 2 < first - began < DOUBT_S + FLAP_S + 10, 'started %.1f s after the doubt began' % (first - began)
        assert clients, 'it was asked who it is'
        c.nothing_happens(12, since=c.done())
        assert not [r for r in c.runs() if r['orig'] in once], 'at most once: a port of its node accepts'
        assert all(c.suspect(n, victim)['contested'] for n in c.living())
    c.wait_copies(once)
    c.assert_never_crowded(mine + once)
    check_healthy(c)


@stage(nodes=4, config=dict(DOUBT, **{'heal.stop_after': '4s'}))
def test_one_member_always_says_that_it_sees_it(c):
    """Its serf answers for it, as a healer would that lies."""
    c.run_web(replicas=8)
    c.run_web('single', 4, annotations=ONCE)
    liar = c.nodes[3]
    victim = max(c.nodes[:3], key=lambda n: len(c.pods_on(n, 'single')))
    once = c.pods_on(victim, 'single')
    c.offline()
    mine = c.pods_on(victim)
    assert mine and once
    wait_for(lambda: all(not m['api'] for n in c.nodes for m in n.http('/v1/members')), 40, 'all have said that they are offline')
    liar.parts['healer'].kill(9)
    liar.parts['serf'].kill(9)
    liar.start_serf('%s:%d' % (next(n for n in c.nodes if n not in (liar, victim)).host, SERF_PORT),
                    "-event-handler=query:eh-witness=printf 'EH\\001\\002\\001'", '-tag=v=2', '-tag=api=0')
    wait_for(lambda: all(m['status'] == 'alive' for n in c.living() for m in n.http('/v1/members')), 40, 'it is a member')
    began = time.time()
    victim.power_off()
    honest = [n for n in c.nodes if n not in (liar, victim)]
    c.wait_copies(mine)
    first = min(r['start'] for r in c.runs() if r['orig'] in mine)
    assert first - began > DOUBT_S, 'heard: started %.1f s after the loss' % (first - began)
    for n in honest:
        s = wait_for(lambda n=n: (c.suspect(n, victim) or {}).get('state') == 'lost' and c.suspect(n, victim), 20, '%s has decided' % n.name)
        assert s['dissenters'] == [liar.name] and s['contested'] and 'against ' + liar.name in s['note'], s
        assert n.metric('edge_healer_witness_overruled_total') == 1
    told = c.rows('witness overruled', nodes=honest)
    assert {h['node'] for h in told} == {liar.name} and victim.name in told[0]['detail'], told
    c.nothing_happens(12, since=c.done())
    assert not [r for r in c.runs() if r['orig'] in once], 'at most once: somebody sees its node'
    c.assert_never_crowded(mine)


@contextlib.contextmanager
def serf_is_restarted(node, peer):
    """As kubelet does it: whose name is taken at another address quits ("minority in name conflict resolution"), again and again."""
    over = threading.Event()

    def look():
        while not over.wait(1):
            if not node.parts['serf'].alive():
                node.start_serf('%s:%d' % (peer.host, SERF_PORT))
    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield
    finally:
        over.set()
        looker.join()


@stage()
def test_a_node_is_back_at_once_with_another_address(c):
    """Gossip is late with it: the others look for the node where it says that it is."""
    c.run_web(replicas=6)
    node = c.busiest()
    mine = c.pods_on(node)
    c.offline()
    node.power_off()
    node.move(50 + node.index)
    node.power_on()
    with serf_is_restarted(node, next(n for n in c.nodes if n is not node)):
        c.wait_copies(mine)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            elsewhere = [r for r in c.runs() if r['orig'] in mine and r['node'] != node.name]
            assert not elsewhere, 'a second time elsewhere: %s' % elsewhere
            time.sleep(1)
        assert not c.rows('node lost', nodes=[n for n in c.nodes if n is not node])
        c.mend()
        c.wait_handover()
    check_healthy(c)


def forget(c, n, node, *more):
    """(exit code, what it says) of `edge-healer forget` on n."""
    p = subprocess.run([c.binary, 'forget', node, *(more or ('--server', 'unix:' + n.path('healer.sock')))], capture_output=True, text=True)
    return p.returncode, p.stdout + p.stderr


@stage(nodes=4)
def test_two_of_four_boxes_are_carried_away_while_offline(c):
    """What is left is half of the site, and does nothing until root of each remaining node says that they do not count."""
    c.run_web(replicas=8)
    gone, left = c.nodes[2:], c.nodes[:2]
    code, said = forget(c, left[0], gone[0].name)
    assert code == 1 and 'delete its Node instead' in said, said
    c.offline()
    lost = [u for n in gone for u in c.pods_on(n)]
    assert lost
    for n in gone:
        n.power_off()
    wait_for(lambda: all(c.suspect(n, g) for n in left for g in gone), 30, 'gossip has lost them')
    c.nothing_happens(NOTICED_S)
    for name, why in ((left[1].name, 'gossip sees it'), (left[0].name, 'this node itself'), ('nobody', 'no member')):
        code, said = forget(c, left[0], name)
        assert code == 1 and why in said, (name, said)
    code, said = forget(c, left[0], gone[0].name, '--server', left[0].url())
    assert code == 1 and 'http.socket' in said, said
    for n in left:
        for g in gone:
            assert forget(c, n, g.name)[0] == 0
    assert {(h['by'], h['node']) for h in c.rows('member forgotten')} == {(n.name, g.name) for n in left for g in gone}
    left[0].restart_healer()                # it remembers that
    wait_for(lambda: all(m['forgotten'] for m in left[0].http('/v1/members') or [{'forgotten': False}] if m.get('node') in [g.name for g in gone]),
             20, 'they are forgotten still')
    c.wait_copies(lost)
    gone[0].power_on()
    wait_for(lambda: {h['by'] for h in c.rows('member remembered', nodes=left)} == {n.name for n in left}, 60, 'it is back and counts')
    c.mend()
    c.wait_handover(replicas=8)
    check_healthy(c)
