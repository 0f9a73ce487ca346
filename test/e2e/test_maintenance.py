"""What operators do on purpose is no loss: cordon, drain, a rollout; and what Serf forgets, or says has left, still counts."""
import signal
import subprocess
import time

from stage import check_healthy, is_ready, stage, wait_for

GRACE_S, SILENT_TIMES = 4, 3                # heal.node_grace here; HEAL_GOODBYE_SILENT
REBOOT_GRACE_S, REBOOT_S = 10, 18          # without a goodbye it is lost 10 to 16 s after its kubelet is gone
NOTICED_S = 8                               # until the last answer of its kubelet is old, and the peers have been asked


def goodbye(c, n, *more):
    """(exit code, what it says) of `edge-healer goodbye` on n, as its containers' preStop hooks run it."""
    p = subprocess.run([c.binary, 'goodbye', *(more or ('--server', 'unix:' + n.path('healer.sock')))], capture_output=True, text=True, timeout=20)
    return p.returncode, p.stdout + p.stderr


def go(c, n):
    """Both containers of its pod end: their hooks, SIGTERM, and serf leaves."""
    assert goodbye(c, n) == (0, 'The site is told: stopping.\n')
    n.parts['healer'].kill(signal.SIGTERM)
    subprocess.run(['serf', 'leave', '-rpc-addr=' + n.rpc], check=True, capture_output=True, timeout=20)
    n.parts['serf'].kill(signal.SIGTERM)


def note_of(c, n, by):
    return (c.suspect(by, n) or {}).get('note', '')


@stage()
def test_a_leave_proves_nothing_and_a_machine_that_then_goes_is_lost(c):
    """`serf leave` is said by a rollout, by a shutdown, and of anybody by anybody: what counts is whether the machine answers."""
    c.run_web(replicas=6)
    before = c.done()
    c.offline()
    node = c.busiest()
    node.parts['healer'].kill(signal.SIGTERM)
    subprocess.run(['serf', 'leave', '-rpc-addr=' + node.rpc], check=True, capture_output=True, timeout=20)
    others = [n for n in c.nodes if n is not node]

    def has_left():
        rows = [next(m for m in n.http('/v1/members') if m['node'] == node.name) for n in others]
        return all(m['left'] and m['status'] == 'failed' for m in rows)
    wait_for(has_left, 20, 'it has left')
    c.nothing_happens(8, before)              # its kubelet answers, its pods run
    lost = c.lose(node)                       # a shutdown: the machine goes down after it has left
    c.wait_copies(lost)
    c.mend()
    c.wait_handover()
    c.assert_never_crowded(lost)


@stage()
def test_after_a_goodbye_serf_and_healer_may_be_away_for_twenty_seconds(c):
    c.run_web(replicas=6)
    before = c.done()
    c.offline()
    node = c.busiest()
    peer = next(n for n in c.nodes if n is not node)
    code, said = goodbye(c, node, '--server', node.url())
    assert code == 1 and 'http.socket' in said, said
    code, said = goodbye(c, node, '--server', 'unix:' + node.path('nothing.sock'))
    assert code == 1 and 'nothing.sock' in said, said
    go(c, node)
    wait_for(lambda: c.suspect(peer, node), 20, 'gossip has lost it')
    c.nothing_happens(20, before)
    node.start_serf('%s:7946' % peer.ip)
    node.start_healer()
    wait_for(lambda: node.http('/v1/status') and not any(c.suspect(n, node) for n in c.nodes if n is not node), 40, 'it is back')
    c.nothing_happens(5, before)
    assert not c.rows('node lost') and len([r for r in c.runs() if not r['end']]) == 6
    check_healthy(c)


@stage(config={'heal.node_grace': '%ds' % GRACE_S})
def test_who_says_goodbye_and_is_switched_off_is_lost_once_its_ports_were_silent_long_enough(c):
    c.run_web(replicas=6)
    c.offline()
    node = c.busiest()
    others = [n for n in c.nodes if n is not node]
    go(c, node)
    wait_for(lambda: all(c.suspect(n, node) for n in others), 20, 'gossip has lost it')
    lost = c.lose(node)
    off = time.monotonic()
    wait_for(lambda: any('goodbye' in note_of(c, node, by) for by in others), GRACE_S * SILENT_TIMES, 'the goodbye delays its loss')
    wait_for(lambda: c.rows('node lost', nodes=others), GRACE_S * SILENT_TIMES + NOTICED_S, 'it is lost')
    took = time.monotonic() - off
    assert took >= GRACE_S * SILENT_TIMES - 1, 'lost after %.1f s' % took
    c.wait_copies(lost)
    c.mend()
    c.wait_handover()
    c.assert_never_crowded(lost)
    check_healthy(c)


@stage(config={'heal.node_grace': '%ds' % REBOOT_GRACE_S})
def test_who_says_goodbye_and_reboots_in_time_is_no_loss(c):
    """Longer than it takes to find a node lost that says nothing, shorter than the silence that ends a goodbye."""
    c.run_web(replicas=6)
    c.offline()
    node = c.busiest()
    others = [n for n in c.nodes if n is not node]
    go(c, node)
    own = c.lose(node)
    time.sleep(REBOOT_S)
    node.power_on()
    wait_for(lambda: node.http('/v1/status') and not any(c.suspect(n, node) for n in others), 40, 'it is back')
    assert not c.rows('node lost'), 'its reboot was waited for'
    c.wait_copies(own)                        # at home, as after any boot
    assert not [r for r in c.runs() if r['orig'] in own and r['node'] != node.name], 'and nowhere else'
    c.mend()
    c.wait_handover()
    check_healthy(c)


@stage(speed=1)
def test_a_cordoned_and_drained_node_is_no_loss(c):
    c.run_web(replicas=6)
    node = c.busiest()
    path = '/api/v1/nodes/' + node.name
    code, body = c.api.call('PATCH', path, {'spec': {'unschedulable': True}}, 'application/merge-patch+json')
    assert code == 200, body
    for p in [p for p in c.own_pods('web') if p['spec'].get('nodeName') == node.name]:
        name = p['metadata']['name']
        code, body = c.api.call('POST', '/api/v1/namespaces/%s/pods/%s/eviction' % (c.ns, name), {
            'apiVersion': 'policy/v1', 'kind': 'Eviction', 'metadata': {'name': name, 'namespace': c.ns}})
        assert code in (200, 201), body

    def moved():
        own = [p for p in c.own_pods('web') if is_ready(p)]
        return len(own) == 6 and all(p['spec']['nodeName'] != node.name for p in own)
    wait_for(moved, 30, 'six pods on the others')
    assert c.api.get(path)['spec'].get('unschedulable') is True, 'nobody undoes a cordon'
    assert not c.api.get(path)['spec'].get('taints') or all(
        t['key'] != 'edge-healer.io/unreachable' for t in c.api.get(path)['spec']['taints'])
    assert not c.rows('lost pod deleted') and not c.files()


@stage()
def test_a_rollout_of_the_healer_and_its_serf_is_no_loss(c):
    """As a DaemonSet does it: both containers of one node end and start again, node after node; serf does not leave."""
    c.run_web(replicas=6)
    before = c.done()
    c.offline()
    for n in c.nodes:
        peer = next(x for x in c.nodes if x is not n)
        n.parts['healer'].kill(signal.SIGTERM)
        n.parts['serf'].kill(signal.SIGTERM)
        n.start_serf('%s:7946' % peer.ip)
        n.start_healer()
        wait_for(lambda n=n: n.http('/v1/status'), 10, n.name + ' is back')
    c.nothing_happens(14, before)
    assert len([r for r in c.runs() if not r['end']]) == 6


@stage()
def test_members_that_serf_forgot_still_count_for_the_majority(c):
    c.run_web(replicas=6)
    before = c.done()
    c.offline()
    last, *dead = c.nodes
    for n in dead:
        n.power_off()
    last.parts['serf'].kill()
    last.start_serf(None)                     # its memory is gone: it lists itself alone
    wait_for(lambda: sum(m['status'] == 'failed' for m in last.http('/v1/members') or []) == 2, 40, 'both are remembered, as failed')
    assert last.http('/v1/status')['majority'] is False
    c.nothing_happens(6, before)
