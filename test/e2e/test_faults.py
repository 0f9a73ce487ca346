"""The healer is killed with -9 at every write, rename, claim and API call: nothing is lost, nothing is done twice.

Every point of include/base/faults.def is in one of the lists below (name[:n] = its n-th passage), or in ELSEWHERE with the reason.
Several points share a site (of machines that idle, so that lost pods are spread evenly over them): each node's healer is armed with one of its own, all of them die, all of them come back.
"""
import json
import os
import subprocess
import time
import uuid

from killed import SIGKILLED, arm, check_api, check_clean, death_of_one, deaths, frozen, in_sync, points, restart
from stage import CLAIMS_COME_LATE, Skip, is_ready, stage, wait_for
from cluster import PodWatch

# (while pods of a dead node are restored offline, while they are handed over afterwards): a row is one site
OFFLINE = [
    (('restore.prepare', 'restore.commit', 'restore.tell', 'restore.bundle'),
     ('drop.note:2', 'drop.remove', 'claim.send', 'store.commit:3')),
    (('bundle.file', 'restore.publish', 'restore.renamed', 'bundle.file:4'),
     ('bundle.remove', 'drop.gone')),
    (('restore.close', 'restore.proven', 'restore.proven:2', 'restore.renamed:2'),
     ('drop.tell', 'drop.gone:2', 'drop.remove:2', 'event.send')),
]
BIND = ('bind.intent', 'bind.send', 'bind.close', 'bind.send:2')
ONLINE = (('delete.intent', 'taint.intent'), ('taint.send', 'taint.close'), ('delete.send:2', 'taint.send'),
          ('delete.close', 'taint.intent'))   # at the loss, at the return
EVICT = ('evict.intent', 'evict.send', 'evict.close')
ONCE = (('stop.note', 'resume.thaw'), ('stop.freeze', 'resume.note'))
ONCE_DROP, UNDO, ORPHAN = 'drop.freeze', 'restore.undo', 'orphan.remove'
# point: why no scenario here passes it
ELSEWHERE = {'standby.' + what: 'test_standby.py kills there' for what in ('commit', 'write', 'close', 'remove')}
ELSEWHERE.update({'removal.' + what: 'test_removal.py kills there' for what in ('copy', 'data', 'file')})
ELSEWHERE['event.sent'] = 'test_events.py kills there'

KEEP = {'edge-healer.io/reconcile': 'keep_replacement'}
AT_MOST_ONCE = {'edge-healer.io/policy': 'at-most-once'}


def covered():
    rows = [p for pair in OFFLINE + list(ONLINE) + list(ONCE) for part in pair for p in ([part] if isinstance(part, str) else part)]
    return {p.split(':')[0] for p in rows + list(BIND) + list(EVICT) + [ONCE_DROP, UNDO, ORPHAN]}


def test_every_point_is_passed_by_a_scenario(_binary, _kubeconfig):
    names = points()
    assert len(names) > 20, names
    missing = [p for p in names if p not in covered() and p not in ELSEWHERE]
    assert not missing, 'no scenario kills at: %s' % missing
    unknown = [p for p in covered() | set(ELSEWHERE) if p not in names]
    assert not unknown, 'no such point any more: %s' % unknown


test_every_point_is_passed_by_a_scenario.is_test = True


def shop(c, replicas, **more):
    """A Deployment with files, so that its copies have bundles."""
    c.create('ConfigMap', 'configmaps', 'settings', data={'a.conf': 'a', 'b.conf': 'b', 'c.conf': 'c'})
    container = {'name': 'c', 'image': 'localhost/busybox:1', 'command': ['/bin/sleep', '100000'],
                 'resources': {'requests': {'cpu': '100m', 'memory': '16Mi'}}, 'volumeMounts': [{'name': 'conf', 'mountPath': '/etc/shop'}]}
    c.run_web('web', replicas, spec={'containers': [container], 'volumes': [{'name': 'conf', 'configMap': {'name': 'settings'}}]}, **more)
    wait_for(lambda: all([w for w in n.http('/v1/readiness') or [] if w['ready']] for n in c.living()), 30, 'all could restore it')


def lose_one(c, points_, victim=None):
    """Offline, with the healers of the others armed, a node dies; they die of restoring its pods, and come back."""
    victim = victim or c.busiest()
    armed = dict(zip([n for n in c.nodes if n is not victim], points_))
    arm(c, armed)
    in_sync(c, list(armed))
    c.offline()
    lost = c.lose(victim)
    deaths(c, armed)
    c.wait_copies(lost)
    return victim, lost


def offline_site(c, restoring, ending):
    replicas = 60                             # a dozen lost: three for each, even if they had not the same before
    shop(c, replicas)
    watch = PodWatch(c.api, c.ns)
    victim, lost = lose_one(c, restoring)
    check_clean(c)
    held = [n.name for n, _ in c.copies()]
    armed = dict(zip(sorted(c.living(), key=lambda n: -held.count(n.name)), ending))    # who has most of them first
    arm(c, armed)
    copied = time.time()
    victim.power_on()
    c.mend_uplink()
    deaths(c, armed)
    c.wait_handover(replicas=replicas)
    check_clean(c)
    c.assert_never_crowded(lost, most=3)
    c.assert_no_hole(replicas, copied)
    check_api(c, watch, 'web', replicas, lost)


def offline_test(row):
    restoring, ending = OFFLINE[row]

    # On a busy machine verdicts are a second apart: nobody shall take what another one is to die of.
    @stage(nodes=5, shimmed=True, config=CLAIMS_COME_LATE)
    def run(c):
        offline_site(c, restoring, ending)
    return run


for _row in range(len(OFFLINE)):
    globals()['test_killed_in_a_restore_and_a_handover_%d' % (_row + 1)] = offline_test(_row)


@stage(nodes=4, scheduler=False, shimmed=True)
def test_killed_in_a_binding(c):
    watch = PodWatch(c.api, c.ns)
    armed = dict(zip(c.nodes, BIND))
    arm(c, armed)
    c.wait_whole()
    c.deploy('web', 24, cpu='10m')
    deaths(c, armed)
    c.wait_ready('web', 24)
    check_api(c, watch, 'web', 24)
    check_clean(c)
    runs = c.runs()
    assert len(runs) == len({r['uid'] for r in runs}) == 24, 'each pod ran once'


def tainted(c, node):
    taints = c.api.get('/api/v1/nodes/' + node.name)['spec'].get('taints') or []
    return [t['key'] for t in taints].count('edge-healer.io/unreachable')


@stage(speed=1)
def test_killed_when_a_node_is_lost_and_returns_online(c):
    c.run_web(replicas=9, cpu='10m')
    watch, gone = PodWatch(c.api, c.ns), []
    victim = c.nodes[2]
    others = [n for n in c.nodes if n is not victim]

    def replaced():
        return len([p for p in c.own_pods('web') if is_ready(p) and p['spec']['nodeName'] != victim.name]) == 9
    for at_loss, at_return in ONLINE:         # the first by name acts, of those that gossip has shown to be online: it may be any
        wait_for(lambda: c.pods_on(victim), 20, 'it has pods')
        for n in others:
            restart(n, at_loss)
        c.wait_whole()
        gone += c.lose(victim)
        death_of_one(others, at_loss, replaced, 'replaced')
        assert tainted(c, victim) == 1
        arm(c, dict.fromkeys(others, at_return))
        in_sync(c, others)
        victim.power_on({'EDGE_HEALER_FAULT': at_return})
        death_of_one(c.nodes, at_return, lambda: not tainted(c, victim), 'the taint gone')
        check_clean(c)
        for p in c.own_pods('web')[:4]:       # some come to the returned node
            gone.append(p['metadata']['uid'])
            c.api.call('DELETE', '/api/v1/namespaces/%s/pods/%s?gracePeriodSeconds=0' % (c.ns, p['metadata']['name']))
        c.wait_ready('web', 9)
    check_api(c, watch, 'web', 9, gone, dead=victim.name)    # some were put there before its taint was


@stage(nodes=4, shimmed=True)
def test_killed_in_an_eviction(c):
    c.run_web(replicas=16, annotations=KEEP)
    watch = PodWatch(c.api, c.ns)
    c.offline()
    victim = c.busiest()
    lost = c.lose(victim)
    c.wait_copies(lost)
    holder = c.copies()[0][0]
    victim.power_on()
    wait_for(lambda: any(m['node'] == victim.name and m['status'] == 'alive' for m in c.nodes[c.nodes[0] is victim].http('/v1/members') or []), 30,
             'gossip sees the node again')
    arm(c, {holder: EVICT[0]})
    c.mend_uplink()
    for point, then in zip(EVICT, EVICT[1:] + (None,)):     # the same eviction, three times: each start asks for it again
        wait_for(lambda: not holder.parts['healer'].alive(), 60, 'it dies at ' + point)
        assert holder.parts['healer'].p.returncode == SIGKILLED
        restart(holder, then)
    c.wait_handover(replicas=16)
    check_clean(c)
    check_api(c, watch, 'web', 16, lost)
    c.assert_never_crowded(lost, most=3)


def leases(c):
    wait_for(lambda: all((n.http('/v1/status') or {}).get('lease', {}).get('held') for n in c.living()), 30, 'leases')


@stage(nodes=5, config={'heal.stop_after': '6s'})
def test_killed_in_a_stop_and_a_resume(c):
    c.run_web('single', 10, cpu='10m', annotations=AT_MOST_ONCE)
    leases(c)
    alone = c.nodes[3:]
    pods = [u for n in alone for u in c.pods_on(n, 'single')]
    assert len(pods) >= 2, pods
    stop = dict(zip(alone, [s for s, _ in ONCE]))
    arm(c, stop)
    in_sync(c, alone)
    leases(c)
    c.offline()
    for n in alone:
        n.parts['serf'].kill()
    deaths(c, stop)
    wait_for(lambda: len([r for n in alone for r in n.runs() if r['uid'] in pods and not r['end']]) == 0, 20, 'all of them are frozen')
    resume = dict(zip(alone, [r for _, r in ONCE]))
    arm(c, resume)
    assert all(frozen(n) for n in alone)
    for n in alone:
        n.start_serf('%s:7946' % c.nodes[0].ip)
    deaths(c, resume)
    wait_for(lambda: len([r for n in alone for r in n.runs() if r['uid'] in pods and not r['end']]) == len(pods), 60, 'all run again')
    check_clean(c)
    assert not c.copies(), 'they were never lost'


@stage(config={'heal.stop_after': '4s'})
def test_killed_when_an_at_most_once_copy_ends(c):
    c.run_web('single', 3, annotations=AT_MOST_ONCE)
    leases(c)
    victim = c.nodes[2]
    c.offline()
    lost = c.lose(victim, 'single')
    where = c.wait_copies(lost)
    armed = {c.node(where[lost[0]]): ONCE_DROP}
    arm(c, armed)
    c.mend_uplink()
    victim.power_on()
    deaths(c, armed)
    c.wait_handover('single', 3)
    check_clean(c)
    for uid in lost:                          # the copy had stopped before the original ran again, or another in its place
        assert all(r['end'] for r in c.copy_runs(uid)), c.copy_runs(uid)
    c.assert_never_crowded(lost)


def read_only(path):
    """A mount of itself that takes no writes; how to undo it."""
    if os.geteuid() or subprocess.run(['mount', '--bind', path, path], capture_output=True).returncode:
        raise Skip('no root or no mount: a read-only folder cannot be made here')
    subprocess.run(['mount', '-o', 'remount,ro,bind', path], check=True)
    return lambda: subprocess.run(['umount', '-l', path], check=True)


@stage()
def test_killed_while_a_failed_restore_is_undone(c):
    """Its static-pod folder takes no writes: what it cannot do the other one does."""
    shop(c, 12)
    victim, n, other = c.nodes[2], c.nodes[0], c.nodes[1]
    arm(c, {n: UNDO})
    in_sync(c, [n])
    c.offline()
    undo = read_only(n.path('manifests'))
    try:
        lost = c.lose(victim)
        deaths(c, {n: UNDO})
        where = c.wait_copies(lost)
        assert set(where.values()) == {other.name}, where
        check_clean(c)
    finally:
        undo()
    c.mend()
    c.wait_handover(replicas=12)
    check_clean(c)


@stage(nodes=2)
def test_killed_while_an_orphan_is_removed(c):
    """A file of ours without a row, as a store that was lost leaves it. One without our mark stays."""
    n = c.nodes[0]
    uid = str(uuid.uuid4())
    static = str(uuid.uuid5(uuid.UUID(uid), 'edge-healer.io/epoch/1'))
    pod = {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {
        'name': 'left', 'namespace': c.ns, 'uid': static,
        'annotations': {'edge-healer.io/original-uid': uid, 'edge-healer.io/epoch': '1'}},
        'spec': {'containers': [{'name': 'c', 'image': 'localhost/busybox:1'}]}}
    foreign = json.loads(json.dumps(pod))
    foreign['metadata'].update(uid=str(uuid.uuid4()), name='foreign')
    n.parts['healer'].kill()
    for name, doc in (('edge-healer-left-00000000.json', pod), ('edge-healer-foreign-00000000.json', foreign)):
        with open(n.path('manifests', name), 'w') as f:
            json.dump(doc, f)
    n.start_healer({'EDGE_HEALER_FAULT': ORPHAN})
    deaths(c, {n: ORPHAN})
    wait_for(lambda: n.manifests() == ['edge-healer-foreign-00000000.json'], 15, 'ours is removed, the other one is not')
