#!/usr/bin/env python3
"""Three nodes on this machine, a loss, a recovery: what edge-healer does, step by step, with the seconds.

Real: the serf agents (lan profile) and the edge-healers. Simulated: the API server and the kubelets (test/kubesim).
Exit 0 only if all of it happened.
"""
import argparse
import datetime
import os
import signal
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'rig'))
from cluster import Cluster, PodWatch, is_ready, levels, longest, wait_for  # noqa: E402

REPLICAS = 6
SPEED = 10                      # divides the 40 s + 5 s after which the control plane calls a silent node NotReady; nothing else
STOCK_UP_SECONDS = 352          # stock Kubernetes 1.36, three real nodes, API server up; never with it down
WIDTH = 100


class Told:
    """What people read. Colour only on a terminal."""

    def __init__(self):
        self.tty = sys.stdout.isatty() and 'NO_COLOR' not in os.environ
        self.began = time.time()
        self.step = 'start'

    def paint(self, code, text):
        return '\033[%sm%s\033[0m' % (code, text) if self.tty else text

    def line(self, text=''):
        print(text, flush=True)

    def head(self, text):
        self.line()
        self.line(self.paint('1', text))

    def event(self, at, zero, text, strong=False):
        """One line of a timeline: seconds since its zero."""
        mark = self.paint('32', '●') if strong else '│'
        self.line('  %8.3f s  %s %s' % (at - zero, mark, self.paint('1', text) if strong else text))

    def note(self, text):
        self.line('              │ ' + self.paint('2', text))

    def table(self, rows):
        widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
        for k, r in enumerate(rows):
            text = '  ' + '  '.join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths)))
            self.line(self.paint('2', text) if k == 0 else text)


def wall(text):
    """RFC 3339 to seconds."""
    return datetime.datetime.strptime(text, '%Y-%m-%dT%H:%M:%S.%fZ').replace(tzinfo=datetime.timezone.utc).timestamp()


def short(pod):
    return pod.rsplit('-', 1)[-1]


class Counter(threading.Thread):
    """Asks the API server all the time how many of the Deployment's own pods are Ready: the least it ever saw."""

    def __init__(self, c, nodes):
        super().__init__(daemon=True)
        self.c, self.nodes, self.on, self.least, self.asked = c, nodes, True, REPLICAS, 0

    def run(self):
        while self.on:
            try:
                ready = sum(is_ready(p) and p['spec'].get('nodeName') in self.nodes for p in self.c.own_pods('web'))
            except OSError:
                continue
            self.least, self.asked = min(self.least, ready), self.asked + 1
            time.sleep(0.05)


# ---- the three steps ----

def begin(c, told):
    told.line(told.paint('1', 'edge-healer demo') + ': three nodes on this machine lose their API server and one of themselves')
    told.line('  real: 3 serf agents (lan profile), 3 edge-healers     simulated: API server, 3 kubelets (kubesim)')
    told.line('  speed: the control plane calls a silent node NotReady after %.1f s, not 45 s (kubesim --speed %d):'
              % (45 / SPEED, SPEED))
    told.line('         that matters in step 3 only. Gossip, edge-healer and the pods run at real speed.')
    told.step = 'the site comes up'
    c.start()
    c.deploy('web', REPLICAS)
    pods = c.wait_ready('web', REPLICAS)
    told.line()
    told.line('  up after %.1f s: Deployment web with %d pods, %s' % (time.time() - told.began, REPLICAS, ', '.join(
        '%d on %s' % (sum(p['spec']['nodeName'] == n.name for p in pods), n.name) for n in c.nodes)))


def unbound(c, told):
    told.head('1  The API server answers, the scheduler does not: a pod is deleted')
    told.step = 'step 1: the replacement of a deleted pod is bound by a healer'
    code, body = c.api.call('POST', '/kubesim/scheduler', {'enabled': False})
    assert code == 200, body
    watch = PodWatch(c.api, c.ns)
    old = c.own_pods('web')
    victim, known = old[0], {p['metadata']['uid'] for p in old}
    path = '/api/v1/namespaces/%s/pods/%s' % (c.ns, victim['metadata']['name'])
    zero = time.time()
    assert c.api.call('DELETE', path)[0] == 200
    fresh = wait_for(lambda: next((p for _, _, p in list(watch.rows) if p['metadata']['uid'] not in known), None), 10,
                     'the ReplicaSet makes a replacement')
    uid = fresh['metadata']['uid']
    bound = wait_for(lambda: watch.seen(uid, lambda p: p['spec'].get('nodeName')), 10, 'the replacement is bound')
    ready = wait_for(lambda: watch.seen(uid, is_ready), 10, 'the replacement is Ready')
    born, name = watch.seen(uid), fresh['metadata']['name']
    row = wait_for(lambda: next((dict(h, by=n.name) for n in c.nodes for h in n.history()
                                 if h['event'] == 'won bid' and h['pod'] == name), None), 5, 'a healer says that it bound the pod')
    own = dict(part.split('=', 1) for part in row['detail'].split() if '=' in part)
    told.event(zero, zero, 'scheduler off, pod %s deleted' % short(victim['metadata']['name']))
    told.event(born, zero, 'the ReplicaSet made %s: Pending, nobody schedules it' % short(name))
    told.event(bound, zero, 'bound to %s by its edge-healer %.0f ms after it appeared (200 ms of it bind_grace)'
               % (row['node'], (bound - born) * 1e3), True)
    told.note('the healer itself: %s ms from the end of the grace to the API server\'s answer' % own.get('bound_after_ms', '?'))
    told.event(ready, zero, 'Ready')
    c.wait_ready('web', REPLICAS)
    c.wait_whole()
    return (bound - born) * 1e3


def first(*times):
    return min(t for t in times if t)


def failed_since(n, victim):
    member = next((m for m in n.http('/v1/members') or [] if m['node'] == victim.name), {})
    return wall(member['since']) if member.get('status') == 'failed' else None


def lose_node(c, told):
    told.head('2  The API server is cut off for all (connection refused), one node is killed with -9')
    told.step = 'step 2: all healers see that the API server is gone'
    uids = {p['metadata']['uid'] for p in c.own_pods('web')}
    wait_for(lambda: all(uids <= {p['uid'] for p in n.http('/v1/pods') or []} for n in c.nodes), 10, 'all healers mirror the pods')
    cut = time.time()
    c.cut_uplink('refuse')
    wait_for(lambda: all((n.http('/v1/status') or {}).get('link', {}).get('state') == 'offline' for n in c.nodes), 20,
             'all links offline')
    told.line('  uplink cut; after %.1f s all three healers say offline; nothing else happened' % (time.time() - cut))
    victim = c.node(max({p['spec']['nodeName'] for p in c.own_pods('web')},
                        key=lambda name: sum(p['spec']['nodeName'] == name for p in c.own_pods('web'))))
    lost = {p['metadata']['uid']: p['metadata']['name'] for p in c.own_pods('web') if p['spec']['nodeName'] == victim.name}
    told.step = 'step 2: the pods of the killed node run on its neighbours'
    zero = time.time()
    victim.power_off()
    told.event(zero, zero, '%s is dead: serf, kubelet, edge-healer and its %d pods' % (victim.name, len(lost)), True)

    def copies():
        held = {x['uid']: (n, x) for n, x in c.copies() if x['copy'] == 'running'}
        return held if set(lost) <= set(held) else None
    held = wait_for(copies, 45, 'all %d lost pods run as copies' % len(lost))
    rest = c.living()
    failed = first(*[failed_since(n, victim) for n in rest])
    declared = first(*[wall(h['at']) for n in rest for h in n.history() if h['event'] == 'node lost'])
    told.event(failed, zero, 'gossip says: failed')
    told.event(declared, zero, 'declared lost: grace over, own probes fail, the other peer confirms')
    stages = []
    for uid, (n, x) in held.items():
        run = [r for r in c.runs() if r['orig'] == uid]
        assert len(run) == 1 and run[0]['node'] == n.name, 'by the journal it ran: %s' % run
        stages.append((lost[uid], n.name, wall(x['declared']), wall(x['at']), wall(x['written']), run[0]['start']))
    told.event(max(s[3] for s in stages), zero, 'all claimed, each pod by the best of the %d nodes left' % len(rest))
    told.event(max(s[4] for s in stages), zero, 'all manifests written')
    end = max(s[5] for s in stages)
    told.event(end, zero, 'all %d pods run again, without any API server' % len(lost), True)
    told.line()
    told.table([['lost pod', 'now on', 'failed', 'declared', 'claimed', 'written', 'running', 'declared → running']] + [
        [name, node, '%.3f' % (failed - zero)] + ['%.3f' % (t - zero) for t in times] + ['%.0f ms' % ((times[-1] - times[0]) * 1e3)]
        for name, node, *times in sorted(stages)])
    return victim, lost, zero, end


def hand_over(c, told, victim, lost, restored):
    told.head('3  The API server is back, the node is not')
    told.step = 'step 3: the ReplicaSet is whole again and the copies are handed over'
    alive = {n.name for n in c.living()}
    zero = time.time()
    c.mend_uplink()

    def over():
        own = [p for p in c.own_pods('web') if is_ready(p) and p['spec']['nodeName'] in alive]
        return (len(own) == REPLICAS and not c.copies() and not any(n.manifests() for n in c.living()) and
                not any(r['orig'] and not r['end'] for r in c.runs()))
    wait_for(over, 60, 'the ReplicaSet has %d Ready pods of its own and no copy is left' % REPLICAS)
    told.step = 'step 3: exactly %d run after the handover' % REPLICAS
    quiet = time.time()
    counter = Counter(c, alive)
    counter.start()
    time.sleep(3)
    counter.on = False
    counter.join()
    runs, now = c.runs(), time.time()
    fresh = sorted(r['start'] for r in runs if not r['orig'] and r['start'] > zero)
    gone = sorted(r['end'] for r in runs if r['orig'] and r['end'])
    assert len(fresh) == len(gone) == len(lost), '%d replacements, %d copies stopped, %d lost' % (len(fresh), len(gone), len(lost))
    counts = levels(runs, lambda r: True)
    hole = longest(counts, lambda k: k < REPLICAS, restored, now)
    after = {k for a, b, k in counts if (b or now) > gone[-1] + 0.001}
    extra = max(b - a for a, b in zip(fresh, gone))
    told.event(zero, zero, 'uplink mended')
    told.event(fresh[-1], zero, '%d replacements run, made by the ReplicaSet: the lost pods were deleted from the API' % len(fresh))
    told.event(gone[-1], zero, 'the %d copies are gone, their files too' % len(gone), True)
    told.note('longest hole since the copies ran: %.0f ms    longest duplicate of one pod: %.1f s' % (hole * 1e3, extra))
    told.note('make before break: the copies go after 10 s of proof that the ReplicaSet is whole')
    told.event(now, zero, 'exactly %d ran at every moment since (%.0f s; %d looks at the API, kubelets\' journals)'
               % (REPLICAS, now - quiet, counter.asked), True)
    assert hole == 0, 'a hole of %.3f s' % hole
    assert after == {REPLICAS}, 'after the handover there ran %s' % sorted(after)
    assert counter.least == REPLICAS, 'the API showed %d ready pods' % counter.least
    doubled = max([k for uid in lost for _, _, k in levels(runs, lambda r, uid=uid: r['orig'] == uid)])
    assert doubled == 1, 'a lost pod ran %d times at once as a copy' % doubled
    return hole, extra


def sum_up(told, bound_ms, zero, end, hole, extra):
    told.head('The same loss: a node dies, its pods run elsewhere')
    told.table([['', 'API server up', 'API server down'],
                ['stock Kubernetes 1.36 (three real nodes)', '%d s' % STOCK_UP_SECONDS, 'never'],
                ['edge-healer (this run)', '', '%.1f s' % (end - zero)]])
    told.line()
    told.line('  pod bound without a scheduler %.0f ms · handover hole %.0f ms · copies left 0 · %.0f s in all'
              % (bound_ms, hole * 1e3, time.time() - told.began))


# ---- keep ----

def stay(c, told, binary):
    n = c.living()[0]
    told.head('Left running (--keep). Stop it with Ctrl-C, or kill %d' % os.getpid())
    told.line('  curl -s %s                   what can be asked' % n.url('/'))
    for path in ('/v1/status', '/v1/claims', '/v1/history?limit=20', '/readyz?verbose', '/metrics'):
        told.line("  curl -s '%s'" % n.url(path))
    told.line()
    for verb in ('status', 'members', 'pods', 'claims', 'history'):
        told.line('  %s %s -s %s' % (min(os.path.relpath(binary), os.path.abspath(binary), key=len), verb, n.url()))
    told.line('  kubectl --kubeconfig %s get nodes,pods -o wide' % os.path.join(c.dir, 'kubeconfig'))
    told.line('  logs, manifests, cgroups of each node: %s/node*/' % c.dir)
    told.line("  scheduler on again: curl -s -X POST -d '{\"enabled\": true}' %s/kubesim/scheduler"
              % urllib.parse.urlunsplit(c.api.url))
    while True:
        signal.pause()


def stop(signo, frame):
    raise KeyboardInterrupt


def show(c, told, o):
    begin(c, told)
    bound_ms = unbound(c, told)
    victim, lost, zero, end = lose_node(c, told)
    hole, extra = hand_over(c, told, victim, lost, end)
    sum_up(told, bound_ms, zero, end, hole, extra)
    told.step = None
    if o.keep:
        stay(c, told, o.binary)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--binary', required=True, metavar='FILE', help='edge-healer')
    p.add_argument('--keep', action='store_true', help='leave all running afterwards, until Ctrl-C')
    o = p.parse_args()
    signal.signal(signal.SIGTERM, stop)
    told = Told()
    c = Cluster(o.binary, 3, profile='lan', speed=SPEED)
    try:
        show(c, told, o)
    except KeyboardInterrupt:
        told.line()
        told.line('stopping')
        return 0 if told.step is None else 130
    except Exception as e:
        c.failed = True
        told.line()
        told.line(told.paint('1;31', 'FAILED') + '  %s' % told.step)
        told.line('  did not happen: %s' % (str(e) or type(e).__name__))
        told.line('  logs of every part: %s (*.log, node*/*.log, node*/journal.jsonl)' % c.dir)
        return 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        c.stop()
    return 0


if __name__ == '__main__':
    sys.exit(main())
