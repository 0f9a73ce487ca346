"""Whoever has the gossip and is no Node of the cluster: shown, counted for nothing, and never in the way of healing."""
import socket
import subprocess

from stage import check_healthy, stage, wait_for

SERF_PORT = 7946


class Stranger:
    """A serf agent that joined the site's gossip, with the tags of a healer; no Node has its name."""

    def __init__(self, c, index, name, tags=('v=1', 'cpu=900000', 'mem=9000000', 'pods=900', 'api=0')):
        self.c, self.name = c, name
        ip = c.net + str(100 + index)
        self.rpc = ip + ':7373'
        argv = ['serf', 'agent', '-node=' + name, '-bind=%s:%d' % (ip, SERF_PORT), '-rpc-addr=' + self.rpc,
                '-profile=' + c.profile, '-join=%s:%d' % (c.nodes[0].host, SERF_PORT)]
        self.log = open('%s/%s.log' % (c.dir, name), 'w')
        self.p = subprocess.Popen(argv + ['-tag=' + t for t in tags], stdout=self.log, stderr=subprocess.STDOUT)

    def serf(self, *argv):
        subprocess.run(['serf', argv[0], '-rpc-addr=' + self.rpc, *argv[1:]], check=True, stdout=subprocess.DEVNULL, timeout=20)

    def flood(self, event, payload, times):
        """User events over its own RPC, as fast as it takes them; `times` of them."""
        def text(v):
            return b'\xda' + len(v).to_bytes(2, 'big') + v

        def header(command, seq):
            return b'\x82' + text(b'Command') + text(command) + text(b'Seq') + b'\xce' + seq.to_bytes(4, 'big')

        def body(i):
            return (b'\x83' + text(b'Name') + text(event) + text(b'Payload') + text(payload(i)) + text(b'Coalesce') + b'\xc2')
        host, port = self.rpc.split(':')
        with socket.create_connection((host, int(port)), 5) as s:
            s.sendall(header(b'handshake', 0) + b'\x81' + text(b'Version') + b'\x01')
            for i in range(times):
                s.sendall(header(b'event', i + 1) + body(i))
                s.recv(65536)              # one answer a request: it has taken it

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.p.kill()
        self.p.wait()
        self.log.close()


def standing(n, name):
    return next((m['standing'] for m in n.http('/v1/members') or [] if m['node'] == name), None)


@stage()
def test_agents_that_are_no_nodes_do_not_stop_a_site_from_healing(c):
    """With two strangers among three nodes, one of which is lost, the living are no majority of the gossip."""
    c.run_web(replicas=6)
    with Stranger(c, 1, 'ghost-1'), Stranger(c, 2, 'ghost-2'), Stranger(c, 3, 'laptop', tags=()):
        wait_for(lambda: all(standing(n, g) == 'stranger' for n in c.nodes for g in ('ghost-1', 'ghost-2', 'laptop')), 60,
                 'each healer knows that they are no Nodes')
        status, text = c.nodes[0].ask('/readyz?verbose')
        assert status == 200 and '[~]members ok: 3 in the gossip count for nothing' in text, text
        c.offline()
        lost = c.lose(c.busiest())
        where = c.wait_copies(lost)
        assert set(where.values()) <= {n.name for n in c.living()}, where
        c.mend()
        c.wait_handover()
        c.assert_never_crowded(lost)
    check_healthy(c)


@stage()
def test_a_dead_node_that_is_made_to_leave_is_lost_all_the_same(c):
    c.run_web(replicas=6)
    with Stranger(c, 1, 'ghost-1') as ghost:
        wait_for(lambda: standing(c.nodes[0], 'ghost-1'), 30, 'it is in the gossip')
        c.offline()
        victim = c.busiest()
        lost = c.lose(victim)
        wait_for(lambda: any(m['node'] == victim.name and m['status'] == 'failed'
                             for m in c.living()[0].http('/v1/members') or []), 30, 'gossip misses it')
        ghost.serf('force-leave', victim.name)
        wait_for(lambda: any(m['node'] == victim.name and m['left'] for m in c.living()[0].http('/v1/members') or []), 30,
                 'gossip says that it left')
        c.wait_copies(lost)
        c.mend()
        c.wait_handover()
        c.assert_never_crowded(lost)


def dropped(n):
    lines = n.ask('/metrics')[1].splitlines()
    return sum(float(x.split()[-1]) for x in lines if x.startswith('edge_healer_gossip_dropped_total'))


@stage()
def test_a_stranger_that_floods_the_gossip_is_dropped_and_the_site_heals(c):
    """Hellos and links in invented names: beyond a rate they are dropped and counted, and claims are told all the same."""
    c.run_web(replicas=6)
    with Stranger(c, 1, 'ghost-1') as ghost:
        wait_for(lambda: standing(c.nodes[0], 'ghost-1'), 30, 'it is in the gossip')
        before = dropped(c.nodes[0])

        def link(i):
            name = b'invented-%d' % i
            return b'EH\x01\x06\x01' + bytes([len(name)]) + name
        ghost.flood(b'eh-hello', lambda i: b'', 1500)

        def too_much():                      # busy agents carry fewer of them: again
            ghost.flood(b'eh-link', link, 1500)
            return dropped(c.nodes[0]) - before > 100
        wait_for(too_much, 40, 'what is too much is dropped')
        c.offline()
        lost = c.lose(c.busiest())
        c.wait_copies(lost)
        c.mend()
        c.wait_handover()
        c.assert_never_crowded(lost)
