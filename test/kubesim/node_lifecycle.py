"""Node lifecycle: a node that stops renewing its lease becomes Unknown, is tainted, and its pods are evicted; and pod garbage collection.

The times are those of kube-controller-manager, divided by --speed. Heartbeats are judged by the observer's clock, as there: what counts is
when a change of the lease (or of the Ready condition) was seen.
"""
import asyncio
import time
import traceback

import selection
from errors import ApiError
from rest import set_condition
from schema import LEASES, NODES, PODS
from store import now
from waiting import within

MONITOR_PERIOD, GRACE, STARTUP_GRACE = 5.0, 40.0, 60.0
GC_PERIOD, GC_QUARANTINE = 20.0, 40.0
EVICTION_INTERVAL = 10.0                           # one node each 10 s gets its NoExecute taint (node-eviction-rate 0.1)
LARGE_CLUSTER, UNHEALTHY_ZONE = 50, 0.55
NOT_READY, UNREACHABLE = 'node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'
OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service'
SEEDED = 'kubesim/seeded'                          # a node that was made by --seed-nodes: nobody renews its lease, it counts as ready


def _ready(obj):
    return next((c for c in (obj.get('status') or {}).get('conditions') or [] if c.get('type') == 'Ready'), None)


class NodeLifecycle:
    def __init__(self, api, speed):
        self.api, self.store, self.speed = api, api.store, speed
        self.seen = {}                             # node → (lease renewTime, Ready heartbeat, time of the last change)
        self.doomed = {}                           # (pod uid) → (deadline, key): NoExecute evictions that wait for their time
        self.gone = {}                             # missing node → since when
        self.next_taint = 0.0
        self.dirty = asyncio.Event()
        api.on_node_create = self._admit
        self.store.listeners.append(self._changed)

    @staticmethod
    def _admit(obj):
        """A new node is not ready until its kubelet says so; scheduling must not race with that."""
        if SEEDED in (obj['metadata'].get('annotations') or {}):
            return
        taints = obj.setdefault('spec', {}).setdefault('taints', [])
        if not any(t.get('key') == NOT_READY for t in taints):
            taints.append({'key': NOT_READY, 'effect': 'NoSchedule'})

    def _changed(self, res, ev):
        if res is NODES:
            old = ev.old.obj if ev.old is not None else {}
            if (_ready(ev.entry.obj) or {}).get('status') != (_ready(old) or {}).get('status') or \
                    ev.entry.obj.get('spec') != old.get('spec'):
                self.dirty.set()
        elif res is PODS and (ev.type == 'ADDED' or (ev.old is not None and ev.old.info.node != ev.entry.info.node)):
            self.dirty.set()

    async def run(self):
        monitor_at = gc_at = 0.0
        while True:
            t = time.monotonic()
            try:
                if t >= monitor_at:
                    monitor_at = t + MONITOR_PERIOD / self.speed
                    self._monitor(t)
                if t >= gc_at:
                    gc_at = t + GC_PERIOD / self.speed
                    self._collect(t)
                self._taint_nodes(t)
                self._evict(t)
            except ApiError as e:                  # an object changed under us: the next round sees it
                if e.code not in (404, 409):
                    traceback.print_exc()
            except Exception:
                traceback.print_exc()
            deadlines = [monitor_at, gc_at] + [d for d, _ in self.doomed.values()]
            self.dirty.clear()
            try:
                await within(self.dirty.wait(), max(0.02, min(deadlines) - time.monotonic()))
            except (TimeoutError, asyncio.TimeoutError):
                pass

    def _nodes(self):
        return [n for n in self.store.all(NODES) if SEEDED not in (n.obj['metadata'].get('annotations') or {})]

    # ---- heartbeats

    def _monitor(self, t):
        for node in self._nodes():
            lease = self.store.get(LEASES, 'kube-node-lease', node.name)
            renewed = (lease.obj.get('spec') or {}).get('renewTime') if lease is not None else None
            ready = _ready(node.obj)
            beat = (ready or {}).get('lastHeartbeatTime')
            before = self.seen.get(node.name)
            unknown = ready is not None and ready.get('reason') == 'NodeStatusUnknown'
            if before is None or before[0] != renewed or (before[1] != beat and not unknown):
                self.seen[node.name] = before = (renewed, beat, t)
            grace = GRACE if ready is not None else STARTUP_GRACE
            if t - before[2] > grace / self.speed and not unknown:
                self._mark_unknown(node, ready is not None)
            if ready is None or ready.get('status') != 'True':
                self._mark_pods(node)
        for name in set(self.seen) - {n.name for n in self.store.all(NODES)}:
            del self.seen[name]

    def _mark_unknown(self, node, posted):
        reason, text = ('NodeStatusUnknown', 'Kubelet stopped posting node status.') if posted else (
            'NodeStatusNeverUpdated', 'Kubelet never posted node status.')

        def change(o):
            for kind in ('MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'):
                set_condition(o, kind, 'Unknown', reason, text)
        self.api.modify(node, change, 'status')

    def _mark_pods(self, node):
        for e in [e for e in self.store.all(PODS) if e.info.node == node.name and e.info.ready]:
            self.api.modify(e, lambda o: set_condition(o, 'Ready', 'False'), 'status')

    # ---- taints

    def _taint_nodes(self, t):
        nodes = self._nodes()
        bad = [n for n in nodes if (_ready(n.obj) or {}).get('status') != 'True']
        share = len(bad) / len(nodes) if nodes else 0
        full = bool(nodes) and len(bad) == len(nodes)
        partial = len(bad) > 2 and share >= UNHEALTHY_ZONE
        for node in nodes:
            ready = _ready(node.obj) or {}
            key = {'True': None, 'Unknown': UNREACHABLE}.get(ready.get('status'), NOT_READY)
            taints = (node.obj.get('spec') or {}).get('taints') or []
            keep = [x for x in taints if x.get('key') not in (NOT_READY, UNREACHABLE)]
            new = list(keep)
            if key:
                new.append(self._old_or_new(taints, key, 'NoSchedule'))
                has = any(x.get('key') == key and x.get('effect') == 'NoExecute' for x in taints)
                if has and not full:
                    new.append(self._old_or_new(taints, key, 'NoExecute'))
                elif not full and ready and self._may_evict(t, partial, len(nodes)):
                    new.append(self._old_or_new(taints, key, 'NoExecute'))
            if sorted(map(repr, new)) != sorted(map(repr, taints)):
                self.api.modify(node, lambda o, new=new: o.setdefault('spec', {}).update(taints=new) if new else o['spec'].pop('taints', None))

    def _may_evict(self, t, partial, size):
        """The rate limit of evictions by node: none in a half-dead small cluster, a tenth of the rate in a half-dead large one."""
        if partial and size <= LARGE_CLUSTER:
            return False
        if t < self.next_taint:
            return False
        self.next_taint = t + EVICTION_INTERVAL * (10 if partial else 1) / self.speed
        return True

    @staticmethod
    def _old_or_new(taints, key, effect):
        for x in taints:
            if x.get('key') == key and x.get('effect') == effect:
                return x
        return {'key': key, 'effect': effect, 'timeAdded': now()}

    # ---- evictions

    def _evict(self, t):
        tainted = {}
        for node in self.store.all(NODES):
            taints = [x for x in (node.obj.get('spec') or {}).get('taints') or [] if x.get('effect') == 'NoExecute']
            if taints:
                tainted[node.name] = taints
        wanted = {}
        for e in self.store.all(PODS) if tainted else ():
            if e.info.node in tainted and not e.info.terminating:
                after = self._tolerated(e, tainted[e.info.node])
                if after is not None:
                    old = self.doomed.get(e.uid)
                    wanted[e.uid] = old or (t + after / self.speed, (e.ns, e.name))
        self.doomed = wanted
        for uid, (deadline, key) in list(wanted.items()):
            if deadline <= t:
                self.doomed.pop(uid)
                self._delete_pod(key, uid)

    @staticmethod
    def _tolerated(e, taints):
        """Seconds until the pod must go, or None if it may stay."""
        shortest = None
        for taint in taints:
            toleration = selection.toleration_for(e.obj['spec'].get('tolerations'), taint)
            if toleration is None:
                return 0.0
            if toleration.get('tolerationSeconds') is not None:
                seconds = max(0.0, float(toleration['tolerationSeconds']))
                shortest = seconds if shortest is None else min(shortest, seconds)
        return shortest

    def _delete_pod(self, key, uid):
        e = self.store.get(PODS, *key)
        if e is None or e.uid != uid:
            return
        self.api.modify(e, lambda o: set_condition(o, 'DisruptionTarget', 'True', 'DeletionByTaintManager',
                                                   'Taint manager: deleting due to NoExecute taint'), 'status')
        self.api.delete(PODS, key[0], key[1], {'preconditions': {'uid': uid}})

    # ---- pod garbage

    def _collect(self, t):
        names = {n.name for n in self.store.all(NODES)}
        out_of_service = {n.name for n in self.store.all(NODES) if (_ready(n.obj) or {}).get('status') != 'True' and any(
            x.get('key') == OUT_OF_SERVICE for x in (n.obj.get('spec') or {}).get('taints') or [])}
        orphans = [e for e in self.store.all(PODS) if e.info.node and e.info.node not in names]
        missing = {e.info.node for e in orphans}
        self.gone = {n: self.gone.get(n, t) for n in missing}
        for e in orphans:
            if t - self.gone[e.info.node] >= GC_QUARANTINE / self.speed:
                self._force_delete(e)
        for e in [e for e in self.store.all(PODS) if e.info.terminating and (not e.info.node or e.info.node in out_of_service)]:
            self._force_delete(e)

    def _force_delete(self, e):
        if e.info.phase not in ('Succeeded', 'Failed'):
            e = self.api.modify(e, lambda o: o['status'].update(phase='Failed'), 'status')
        self.api.delete(PODS, e.ns, e.name, {'gracePeriodSeconds': 0, 'preconditions': {'uid': e.uid}})
