"""What strangers cost: HTTP clients that ask for too much, or for nothing, and gossip without end, while a node dies.

On network namespaces with serf's lan profile, against a healer that mirrors 20,000 pods. The floods are test/rig/flood.py, on the
node itself: what comes from elsewhere has no right to /v1. A pause is a callback's CPU time, as the healer itself tells.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'rig'))
from cluster import wait_for  # noqa: E402
from netns import NetCluster  # noqa: E402
from pauses import longest_between, pauses  # noqa: E402

import failover  # noqa: E402

SEEDS = ('--seed-nodes', '20', '--seed-replicasets', '200', '--seed-pods', '20000')
ASKERS, IDLE, SLOW, LOOKS = 30, 10000, 64, 50
GOSSIP = 5000                            # messages a second, by a healer's own agent: a real one drops at 512


def memory(pid, key='VmRSS'):
    with open('/proc/%d/status' % pid) as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith(key + ':'))


def livez_ms(n):
    """The slowest of LOOKS answers, each on a connection of its own."""
    worst = 0
    for _ in range(LOOKS):
        began = time.monotonic()
        status, _ = n.ask('/livez')
        worst = max(worst, time.monotonic() - began if status == 200 else float('inf'))
        time.sleep(0.02)
    return worst * 1000


def asked_while_a_node_dies(c, n, victim, pods):
    pid = n.parts['healer'].p.pid
    askers = n.flood('ask', ASKERS)
    time.sleep(3)                        # all of them are at it
    c.cut_uplink('blackhole')
    failover.wait_offline(c)
    before, killed = pauses(n), time.time()
    victim.power_off()
    done = failover.replaced(c, victim, pods, killed)
    pause = longest_between(before, pauses(n))
    askers.end(30)
    print('  answers to the askers: ' + askers.text().splitlines()[-1], flush=True)
    return {'strangers_restore_s': done and done - killed, 'strangers_pause_ms': pause * 1000,
            'strangers_rss_mib': memory(pid, 'VmHWM')}


def idle_and_slow(c, n, other):
    """From this node by many addresses, and from another one."""
    floods = [n.flood('idle', IDLE // 2, '--from', '127.7.'), n.flood('slow', SLOW // 2, '--from', '127.8.'),
              other.flood('idle', IDLE // 2, to='%s:8000' % n.ip), other.flood('slow', SLOW // 2, to='%s:8000' % n.ip)]
    worst = livez_ms(n)
    for p in floods:
        p.end(30)
    return {'strangers_livez_ms': worst}


def measure(binary, pods=30):
    with NetCluster(binary, 4, profile='lan', kubelet_args=failover.KUBELET) as c:
        c.start(*SEEDS)
        n, victim = c.nodes[0], c.nodes[3]
        wait_for(lambda: n.http('/v1/status')['mirror']['pods'] >= 20000, 60, '20,000 pods are mirrored')
        failover.fill(c, victim, pods)
        out = idle_and_slow(c, n, c.nodes[1])
        out.update(asked_while_a_node_dies(c, n, victim, pods))
        return out


def gossip(binary, pods=30):
    """The worse of two runs: strangers without end, and one member that says too much."""
    runs = []
    for kind in ('strangers', 'member'):
        with NetCluster(binary, 4, profile='lan', kubelet_args=failover.KUBELET) as c:
            c.start()
            n, victim = c.nodes[0], c.nodes[3]
            failover.fill(c, victim, pods)
            p = n.flood_gossip(kind, GOSSIP, c.nodes[1].name)
            wait_for(lambda: (n.http('/v1/status') or {'mirror': {}})['mirror'].get('inSync'), 30, 'in sync again')
            p.say('on')
            time.sleep(3)
            c.cut_uplink('blackhole')
            failover.wait_offline(c)
            before, killed = pauses(n), time.time()
            victim.power_off()
            done = failover.replaced(c, victim, pods, killed)
            runs.append((done - killed if done else float('inf'), longest_between(before, pauses(n)) * 1000,
                         memory(n.parts['healer'].p.pid, 'VmHWM')))
            p.say('off')
            print('  gossip, %s: %s messages' % (kind, p.line('sent ')), flush=True)
    return dict(zip(('gossip_restore_s', 'gossip_pause_ms', 'gossip_rss_mib'), map(max, zip(*runs))))
