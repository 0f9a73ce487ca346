"""Measures edge-healer on this machine and writes a table and build/bench.json.

Every figure is measured in this run: nothing is carried over. What each key means is in KEYS. --soak adds ten minutes of a
steady cluster with pods coming and going, and says how the heap grew; --quick takes fewer samples.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

TEST = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP = os.path.dirname(TEST)
sys.path.insert(0, os.path.join(TEST, 'rig'))
import failover  # noqa: E402
import strangers  # noqa: E402
import netns  # noqa: E402
from cluster import Cluster, wait_for  # noqa: E402

# key: (what, goal or None); a goal is an upper bound
KEYS = {
    'restore_online_p50_ms': ('watch event of the Pending pod to binding accepted, less bind_grace', None),
    'restore_online_p99_ms': ('the same', 50),
    'restore_offline_p50_ms': ('loss declared to manifest renamed, 100 pods lost at once', None),
    'restore_offline_p99_ms': ('the same', 20),
    'restore_offline_running_p99_ms': ('loss declared to proof that it runs (a kubelet takes 200 ms of it)', 300),
    'sync_100k_pods_s': ('start of the daemon to a mirror of 100,000 pods in sync', 20),
    'sync_rss_mib': ('its peak memory then', 96),
    'idle_rss_mib': ('memory with 10 nodes, 100 ReplicaSets, 1,000 pods', 16),
    'idle_cpu_percent': ('of one core, then', 0.5),
    'rank_1000_nodes_us': ('ranking one pod among 1,000 nodes', None),
    'watch_events_per_s': ('pod events through splitter, parser, view and store', None),
    'failover_offline_p50_s': ('kill -9 of a node with 30 pods, uplink black-holed, to all running elsewhere (serf lan profile)', 10),
    'failover_offline_max_s': ('the worst run', 10),
    'failover_online_p50_s': ('the same while the API server answers', 10),
    'failover_online_max_s': ('the worst run', 10),
    'reconcile_s': ('API server back to 100 copies handed over and gone', 60),
    'strangers_restore_s': ('30 clients ask in a loop for 20,000 pods, a node with 30 pods dies, offline, to all running elsewhere', 10),
    'strangers_pause_ms': ('the longest callback of the loop meanwhile (CPU time)', 50),
    'strangers_rss_mib': ('the peak memory of the healer that is asked', 96),
    'gossip_restore_s': ('one healer gets 5,000 messages of gossip a second, a node with 30 pods dies, offline, to all running elsewhere', 10),
    'gossip_pause_ms': ('the longest callback of its loop meanwhile (CPU time)', 50),
    'gossip_rss_mib': ('its peak memory', 96),
    'strangers_livez_ms': ('the slowest /livez while 10,000 idle and 64 slow connections are there', 100),
    'sim_seeds_per_s': ('clusters in virtual time, some minutes each, all invariants after every step', None),
    'partition_false_restores': ('ten times an hour of flapping links and gossip in sites of 3 to 9 nodes each (virtual time)', 0),
    'heap_growth_kib': ('private memory after ten minutes of churn less that after the first (--soak)', None),
}
BIND_GRACE_MS = 200


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))]


def memory(pid):
    """(resident, peak, private) in MiB."""
    with open('/proc/%d/status' % pid) as f:
        rows = dict(line.split(':', 1) for line in f.read().splitlines() if ':' in line)
    return [int(rows[k].split()[0]) / 1024 for k in ('VmRSS', 'VmHWM', 'RssAnon')]


def cpu_seconds(pid):
    with open('/proc/%d/stat' % pid) as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def history(node, event):
    return [h for h in node.http('/v1/history?limit=1000') if h['event'] == event]


def detail(row, key):
    return float(re.search(key + r'=(-?\d+)', row['detail']).group(1))


def online(binary, pods):
    """Pods of a Deployment that nobody schedules, one by one, as they would come back."""
    with Cluster(binary, 3, scheduler=False, kubelet_args=('--cpu', '64', '--max-pods', '500')) as c:
        c.start()
        c.deploy('web', 10, cpu='10m')
        c.wait_ready('web', 10)
        for _ in range(pods - 10):
            victim = c.own_pods('web')[0]
            c.api.call('DELETE', '/api/v1/namespaces/default/pods/%s?gracePeriodSeconds=0' % victim['metadata']['name'])
            c.wait_ready('web', 10)
        rows = [h for n in c.nodes for h in history(n, 'won bid')]
        return [detail(h, 'seen_to_bound_us') / 1000 - BIND_GRACE_MS for h in rows]


def offline(binary, pods):
    """All pods of one node lost at once: (manifest ms, running ms) of each."""
    args = ('--cpu', '64', '--memory', '64Gi', '--max-pods', '500')
    with Cluster(binary, 3, kubelet_args=args) as c:
        c.start()
        victim = c.nodes[2]
        failover.fill(c, victim, pods)

        def bids():
            return {m['cpuMilli'] for n in c.nodes[:2] for m in n.http('/v1/members') if m['node'] != victim.name}
        wait_for(lambda: len(bids()) == 1, 60, 'the two neighbours bid the same, and both know')
        c.cut_uplink('refuse')
        wait_for(lambda: all(n.http('/v1/status')['link']['state'] == 'offline' for n in c.nodes[:2]), 20, 'offline')
        victim.power_off()
        end = time.monotonic() + 60         # looked at rarely: looking takes the time of what is measured
        while sum(k['copy'] == 'running' for n, k in c.copies()) < pods:
            time.sleep(2)
            assert time.monotonic() < end, '%d copies do not run' % pods
        written = [detail(h, 'after_us') / 1000 for n in c.living() for h in history(n, 'manifest written')]
        running = [detail(h, 'running_after_ms') for n in c.living() for h in history(n, 'restored')]
        return written, running


def seeded(binary, nodes, replicasets, pods):
    """A cluster with one healer on a mirror of that size: (cluster, seconds to sync)."""
    c = Cluster(binary, 1)
    c.start_api('--seed-nodes', str(nodes), '--seed-replicasets', str(replicasets), '--seed-pods', str(pods))
    n = c.nodes[0]
    n._write_kubeconfig('%s:%d' % (c.api.url.hostname, c.api.url.port))
    n.start_serf()
    began = time.monotonic()
    n.start_healer()

    def synced():
        s = n.http('/v1/status')
        return s and s['mirror']['inSync'] and s['mirror']['pods'] >= pods
    wait_for(synced, 180, '%d pods in sync' % pods)
    return c, time.monotonic() - began


def sync(binary, pods):
    c, seconds = seeded(binary, 100, 1000, pods)
    with c:
        return seconds, memory(c.nodes[0].parts['healer'].p.pid)[1]


def idle(binary, seconds):
    c, _ = seeded(binary, 10, 100, 1000)
    with c:
        pid = c.nodes[0].parts['healer'].p.pid
        time.sleep(5)
        before, began = cpu_seconds(pid), time.monotonic()
        time.sleep(seconds)
        return memory(pid)[0], 100 * (cpu_seconds(pid) - before) / (time.monotonic() - began)


def soak(binary, minutes):
    """Pods come and go, metrics and status are read; how private memory grows after the first minute."""
    with Cluster(binary, 3) as c:
        c.start()
        c.deploy('web', 10)
        c.wait_ready('web', 10)
        pid, first, end, began = c.nodes[0].parts['healer'].p.pid, None, time.monotonic() + minutes * 60, time.monotonic()
        while time.monotonic() < end:
            victim = c.own_pods('web')[0]
            c.api.call('DELETE', '/api/v1/namespaces/default/pods/%s?gracePeriodSeconds=0' % victim['metadata']['name'])
            c.wait_ready('web', 10)
            for n in c.nodes:
                n.http('/metrics'), n.http('/v1/status'), n.http('/v1/pods')
            if first is None and time.monotonic() - began > 60:
                first = memory(pid)[2]
            time.sleep(0.5)
        return (memory(pid)[2] - first) * 1024


def c_programs():
    out = {}
    folder = tempfile.mkdtemp(prefix='edge-healer-bench-')
    try:
        for name, args in (('bench_rank', []), ('bench_watch', [os.path.join(TEST, 'data/kube/watch-pods.jsonl'), folder + '/db'])):
            text = subprocess.run([os.path.join(TOP, 'build/release/bench', name)] + args, check=True, capture_output=True,
                                  text=True).stdout
            out.update(json.loads(text))
    finally:
        shutil.rmtree(folder)
    return out


def simulator(o):
    """Worlds of test/sim a second, on one core; and ten times an hour of flapping links and gossip in sites of 3 to 9 nodes: what
    was restored."""
    sim = os.path.join(TOP, 'build/release/sim/sim')
    seeds, began = 200 if o.quick else 1000, time.monotonic()
    subprocess.run([sim, '--batch', str(seeds), '--from', '1'], check=True, capture_output=True)
    rate = seeds / (time.monotonic() - began)
    restores = 0
    for nodes in range(3, 10):
        p = subprocess.run([sim, '--flap', '--batch', '10', '--from', '1', '--nodes', str(nodes), '--for', '1h'], check=True,
                           capture_output=True, text=True)
        restores += int(p.stdout.split(' restores')[0].split()[-1])
    return {'sim_seeds_per_s': rate, 'partition_false_restores': restores}


def restore_online(o):
    values = online(o.binary, 60 if o.quick else 200)
    return {'restore_online_p50_ms': percentile(values, 50), 'restore_online_p99_ms': percentile(values, 99)}


def restore_offline(o):
    written, running = [], []
    for _ in range(1 if o.quick else 3):
        w, x = offline(o.binary, 100)
        written, running = written + w, running + x
    return {'restore_offline_p50_ms': percentile(written, 50), 'restore_offline_p99_ms': percentile(written, 99),
            'restore_offline_running_p99_ms': percentile(running, 99)}


def resources(o):
    r = {}
    r['sync_100k_pods_s'], r['sync_rss_mib'] = sync(o.binary, 100000)
    r['idle_rss_mib'], r['idle_cpu_percent'] = idle(o.binary, 20 if o.quick else 60)
    return r


def node_loss(o):
    why = netns.not_permitted()
    if why:
        print('SKIP: network namespaces are not permitted: ' + why)
        return {}
    return failover.measure(o.binary, o.runs or (2 if o.quick else 10))


def flooded(o):
    why = netns.not_permitted()
    if why:
        print('SKIP: network namespaces are not permitted: ' + why)
        return {}
    return dict(strangers.measure(o.binary), **strangers.gossip(o.binary))


def steady(o):
    return {'heap_growth_kib': soak(o.binary, o.soak)} if o.soak else {}


# what can be asked for by --only, in the order of measuring
GROUPS = {'programs': lambda o: c_programs(), 'simulator': simulator, 'restore_online': restore_online, 'restore_offline': restore_offline,
          'resources': resources, 'failover': node_loss, 'strangers': flooded, 'soak': steady}


def show(r):
    """Prints the table; the number of goals that were missed."""
    missed = 0
    for key, (what, goal) in KEYS.items():
        if key in r:
            late = goal is not None and (r[key] is None or r[key] > goal)
            missed += late
            value = 'never' if r[key] is None else '%g' % r[key]
            print('%-32s %12s  %-12s %s' % (key, value, '' if goal is None else '%s %g' % ('OVER' if late else '<=', goal), what))
    return missed


def main():
    p = argparse.ArgumentParser(description='Measure edge-healer.')
    p.add_argument('--binary', required=True)
    p.add_argument('--out', required=True)
    p.add_argument('--quick', action='store_true')
    p.add_argument('--runs', type=int, default=0, metavar='N', help='of each failover (10, with --quick 2)')
    p.add_argument('--only', choices=sorted(GROUPS), help='one group of figures')
    p.add_argument('--soak', type=float, metavar='MINUTES', default=0)
    o = p.parse_args()
    r = {}
    for name, measure in GROUPS.items():
        if o.only in (None, name):
            r.update({k: v if v is None else round(v, 3) for k, v in measure(o).items()})
    missed = show(r)
    os.makedirs(os.path.dirname(os.path.abspath(o.out)), exist_ok=True)
    with open(o.out, 'w') as f:
        json.dump(r, f, indent=1)
        f.write('\n')
    print('written to ' + o.out)
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
