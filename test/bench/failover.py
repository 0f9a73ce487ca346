"""How long a dead node's pods are away, and how long a returned API server takes to get all of them back.

On network namespaces with serf's lan profile and kubelets that hang as real ones do: what is measured is what a site would see,
from the kill to the last container by the kubelets' journals.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'rig'))
from cluster import is_ready, wait_for  # noqa: E402
from netns import NetCluster  # noqa: E402

LIMIT = 90                        # seconds; what is not done by then counts as never
KUBELET = ('--cpu', '64', '--memory', '64Gi', '--max-pods', '500')
MERGE = 'application/merge-patch+json'


def fill(c, victim, pods):
    """A Deployment with all its pods on one node: the others are cordoned while they are made. Their uids."""
    def cordon(on):
        taints = [{'key': 'bench', 'effect': 'NoSchedule'}] if on else None
        for n in c.nodes:
            if n is not victim:
                code, body = c.api.call('PATCH', '/api/v1/nodes/' + n.name, {'spec': {'taints': taints, 'unschedulable': on or None}}, MERGE)
                assert code == 200, body
    cordon(True)
    c.deploy('web', pods, cpu='10m')
    uids = {p['metadata']['uid'] for p in c.wait_ready('web', pods, seconds=90)}
    cordon(False)
    wait_for(lambda: all(_knows(n, uids, victim) for n in c.nodes), 30, 'mirrors agree')
    return uids


def _knows(n, uids, victim):
    have = {p['uid'] for p in n.http('/v1/pods?node=' + victim.name) or [] if p['phase'] == 'Running'}
    return uids <= have


def wait_offline(c):
    wait_for(lambda: all((n.http('/v1/status') or {}).get('link', {}).get('state') == 'offline' for n in c.living()), 30, 'offline')


def replaced(c, victim, pods, since):
    """When the last of so many pods began to run elsewhere; None if that was not within LIMIT."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        starts = [r['start'] for r in c.runs() if r['node'] != victim.name and r['start'] > since and not r['end']]
        if len(starts) >= pods:
            return sorted(starts)[pods - 1]
        time.sleep(0.5)           # looking takes the time of what is measured
    return None


def failover(binary, pods, offline):
    """Seconds from the kill of a node with so many pods to all of them running on the three others; None = never."""
    with NetCluster(binary, 4, profile='lan', kubelet_args=KUBELET) as c:
        c.start()
        victim = c.nodes[3]
        fill(c, victim, pods)
        if offline:
            c.cut_uplink('blackhole')
            wait_offline(c)
        killed = time.time()
        victim.power_off()
        done = replaced(c, victim, pods, killed)
        return done and done - killed


def _node_ready(c, n):
    conditions = c.api.get('/api/v1/nodes/' + n.name)['status']['conditions']
    return any(x['type'] == 'Ready' and x['status'] == 'True' for x in conditions)


def reconcile(binary, copies):
    """Seconds from the return of the API server to the last copy handed over and gone."""
    with NetCluster(binary, 4, profile='lan', kubelet_args=KUBELET + ('--hang-seconds', '0.5'),
                    config={'budget.restores_per_minute': 1000}) as c:
        c.start()
        victim = c.nodes[3]
        fill(c, victim, copies)
        c.cut_uplink('blackhole')
        wait_offline(c)
        victim.power_off()
        wait_for(lambda: sum(k['copy'] == 'running' for _, k in c.copies()) == copies, LIMIT, '%d copies run' % copies)
        wait_for(lambda: not _node_ready(c, victim), LIMIT, 'the outage is so long that the node is NotReady')
        back = time.time()
        c.mend_uplink()

        def over():
            return (not c.copies() and not any(n.manifests() for n in c.living()) and
                    not any(r['orig'] and not r['end'] for r in c.runs()))
        wait_for(over, 2 * LIMIT, 'all copies are handed over')
        assert len([p for p in c.own_pods('web') if is_ready(p)]) == copies, 'the ReplicaSet is whole'
        return max(r['end'] for r in c.runs() if r['orig']) - back


def measure(binary, runs, pods=30, copies=100):
    """The keys of bench.py that this file is for."""
    out = {}
    for name, offline in (('offline', True), ('online', False)):
        times = [failover(binary, pods, offline) for _ in range(runs)]
        print('failover %s: %s' % (name, ', '.join('never' if t is None else '%.1f s' % t for t in times)), flush=True)
        order = sorted(times, key=lambda t: float('inf') if t is None else t)
        out['failover_%s_p50_s' % name], out['failover_%s_max_s' % name] = order[(len(order) - 1) // 2], order[-1]
    out['reconcile_s'] = reconcile(binary, copies)
    return out
