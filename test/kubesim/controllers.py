"""The workload controllers: ReplicaSets, owner garbage collection, disruption budgets, endpoint slices and namespaces.

They work on the store directly. A change of an object only queues keys; the loop in run() does the work, so that one burst of
events leads to one sync of each object, as with the work queues of the real controllers.
"""
import asyncio
import collections
import traceback

import deployments
import selection
from controllers_util import keep_lease, owned, owner_ref, percent
from errors import ApiError
from rest import set_condition
from schema import (BY_NAME, CONFIGMAPS, DEPLOYMENTS, ENDPOINTSLICES, NAMESPACES, PDBS, PODS, REPLICASETS, RESOURCES, SERVICEACCOUNTS,
                    SERVICES)
from store import controller_uid
from waiting import within

MANAGER = 'kube-controller-manager'
BY_STORAGE = {r.storage: r for r in reversed(RESOURCES)}
BURST = 100                                        # pods that one sync of a ReplicaSet creates
BATCH = 50                                         # syncs before other work of the process gets its turn


class Workloads:
    def __init__(self, api, speed):
        self.api, self.store, self.speed = api, api.store, speed
        self.queue = collections.OrderedDict()     # (kind, namespace, name) or ('gc', uid, '')
        self.adopt = set()                         # ReplicaSets that must look for orphans
        self.wake = asyncio.Event()
        self.store.listeners.append(self._changed)
        for e in list(self.store.all(NAMESPACES)):
            self._add('ns', '', e.name)

    def _add(self, kind, ns, name):
        self.queue[(kind, ns or '', name)] = True
        self.wake.set()

    def _changed(self, res, ev):
        e = ev.entry
        if ev.type == 'DELETED' and e.uid in self.store.by_owner:
            self._add('gc', e.uid, '')
        if res is PODS:
            self._pod_changed(ev)
        elif res is REPLICASETS:
            self._add('rs', e.ns, e.name)
            if ev.type == 'ADDED':
                self.adopt.add((e.ns, e.name))
            self._add_owner('deploy', DEPLOYMENTS, controller_uid(e.obj['metadata']))
        elif res is DEPLOYMENTS:
            self._add('deploy', e.ns, e.name)
        elif res is PDBS:
            self._add('pdb', e.ns, e.name)
        elif res is SERVICES:
            self._add('svc', e.ns, e.name)
        elif res is NAMESPACES and ev.type == 'ADDED':
            self._add('ns', '', e.name)

    def _add_owner(self, kind, res, uid):
        owner = self.store.by_uid.get(uid)
        if owner is not None and owner.res is res:
            self._add(kind, owner.ns, owner.name)

    def _pod_changed(self, ev):
        for e in (ev.entry, ev.old):
            if e is not None and e.info.owner:
                self._add_owner('rs', REPLICASETS, e.info.owner)
        if ev.entry.info.owner is None and ev.type != 'DELETED' and ev.entry.labels:
            for rs in self.store.all(REPLICASETS):
                if rs.ns == ev.entry.ns and selection.matches(selection.from_object(rs.obj['spec']['selector']), ev.entry.labels):
                    self.adopt.add((rs.ns, rs.name))
                    self._add('rs', rs.ns, rs.name)
        for kind, res in (('pdb', PDBS), ('svc', SERVICES)):
            for e in self.store.all(res):
                if e.ns == ev.entry.ns:
                    self._add(kind, e.ns, e.name)

    async def run(self):
        sync = {'rs': self.sync_replicaset, 'gc': self.collect, 'pdb': self.sync_pdb, 'svc': self.sync_service, 'ns': self.sync_namespace,
                'deploy': lambda ns, name: deployments.sync(self.api, ns, name)}
        lease_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            if loop.time() >= lease_at:
                keep_lease(self.api, 'kube-controller-manager', 'kubesim')
                lease_at = loop.time() + 2
            for _ in range(min(BATCH, len(self.queue))):
                (kind, ns, name), _ = self.queue.popitem(last=False)
                try:
                    sync[kind](ns, name)
                except ApiError as e:              # a race with a client; the change that won it queues the key again
                    if e.code not in (404, 409):
                        traceback.print_exc()
                except Exception:
                    traceback.print_exc()
            if self.queue:
                await asyncio.sleep(0)
                continue
            self.wake.clear()
            try:
                await within(self.wake.wait(), max(0.01, lease_at - loop.time()))
            except (TimeoutError, asyncio.TimeoutError):
                pass

    # ---- ReplicaSets

    def sync_replicaset(self, ns, name):
        rs = self.store.get(REPLICASETS, ns, name)
        if rs is None or 'deletionTimestamp' in rs.obj['metadata']:
            return
        want = selection.from_object(rs.obj['spec']['selector'])
        if (ns, name) in self.adopt:
            self.adopt.discard((ns, name))
            self._adopt_orphans(rs, want)
        pods = []
        for e in owned(self.store, rs.uid, PODS):
            if selection.matches(want, e.labels):
                pods.append(e)
            elif not e.info.terminating:
                self.api.modify(e, lambda o: _drop_owner(o, rs.uid))
        active = [e for e in pods if e.info.active]
        missing = rs.obj['spec'].get('replicas', 1) - len(active)
        for _ in range(min(missing, BURST)):
            self._create_pod(rs)
        if missing > BURST:
            self._add('rs', ns, name)              # others get their turn in between
        if missing < 0:
            for e in self._surplus(active)[:-missing]:
                self.api.delete(PODS, e.ns, e.name, {'preconditions': {'uid': e.uid}})
        self._replicaset_status(rs)

    def _adopt_orphans(self, rs, want):
        for e in [e for e in self.store.all(PODS) if e.ns == rs.ns and e.info.owner is None]:
            if e.info.active and selection.matches(want, e.labels):
                self.api.modify(e, lambda o: o['metadata'].setdefault('ownerReferences', []).append(owner_ref(rs)))

    def _create_pod(self, rs):
        template = rs.obj['spec']['template']
        meta = template.get('metadata') or {}
        pod_meta = {'generateName': rs.name + '-', 'labels': dict(meta.get('labels') or {}), 'ownerReferences': [owner_ref(rs)]}
        if meta.get('annotations'):
            pod_meta['annotations'] = dict(meta['annotations'])
        for _ in range(5):                         # a generated name can be taken already
            try:
                spec = rs.copy()['spec']['template']['spec']
                return self.api.create(PODS, rs.ns, {'metadata': dict(pod_meta), 'spec': spec}, MANAGER)
            except ApiError as e:
                if e.reason != 'AlreadyExists':
                    raise
        return None

    @staticmethod
    def _surplus(active):
        """Pods in the order in which they go: unbound, pending, not ready, on crowded nodes, young."""
        crowd = collections.Counter(e.info.node for e in active)
        phase = {'Pending': 0, 'Unknown': 1, 'Running': 2}
        young = sorted(active, key=lambda e: e.obj['metadata']['creationTimestamp'], reverse=True)
        return sorted(young, key=lambda e: (bool(e.info.node), phase.get(e.info.phase, 0), e.info.ready, -crowd[e.info.node]))

    def _replicaset_status(self, rs):
        rs = self.store.get(REPLICASETS, rs.ns, rs.name)
        if rs is None:
            return
        pods = owned(self.store, rs.uid, PODS)
        active = [e for e in pods if e.info.active]
        labels = ((rs.obj['spec']['template'].get('metadata') or {}).get('labels') or {}).items()
        ready = sum(e.info.ready for e in active)
        status = {'replicas': len(active), 'fullyLabeledReplicas': sum(labels <= (e.labels or {}).items() for e in active),
                  'readyReplicas': ready, 'availableReplicas': ready, 'terminatingReplicas': sum(e.info.terminating for e in pods)}
        status = {k: v for k, v in status.items() if v or k == 'replicas'}
        status['observedGeneration'] = rs.obj['metadata'].get('generation', 1)
        if status != rs.obj.get('status'):
            self.api.modify(rs, lambda o: o.update(status=status), 'status')

    # ---- garbage collection

    def collect(self, uid, _):
        """Deletes what the owner with this uid left behind, unless another owner lives."""
        if uid in self.store.by_uid:
            return
        for storage, ns, name in list(self.store.by_owner.get(uid, ())):
            res = BY_STORAGE[storage]
            e = self.store.get(res, ns, name)
            if e is None:
                continue
            refs = e.obj['metadata'].get('ownerReferences') or []
            if any(r.get('uid') != uid and r.get('uid') in self.store.by_uid for r in refs):
                self.api.modify(e, lambda o: _drop_owner(o, uid))
            else:
                self.api.delete(res, ns, name, {'preconditions': {'uid': e.uid}})

    # ---- disruption budgets

    def sync_pdb(self, ns, name):
        pdb = self.store.get(PDBS, ns, name)
        if pdb is None:
            return
        spec = pdb.obj['spec']
        want = selection.from_object(spec.get('selector'))
        pods = [e for e in self.store.all(PODS) if e.ns == ns and e.info.active and selection.matches(want, e.labels)]
        healthy = sum(e.info.ready for e in pods)
        expected, desired = self._budget(spec, pods)
        allowed = 0 if desired is None else max(0, healthy - desired)
        status = {'currentHealthy': healthy, 'desiredHealthy': desired or 0, 'disruptionsAllowed': allowed if expected else 0,
                  'expectedPods': expected or 0, 'observedGeneration': pdb.obj['metadata'].get('generation', 1)}

        def change(o):
            o['status'] = dict(o.get('status') or {}, **status)
            ok = status['disruptionsAllowed'] > 0
            reason = 'SyncFailed' if desired is None else ('SufficientPods' if ok else 'InsufficientPods')
            set_condition(o, 'DisruptionAllowed', 'True' if ok else 'False', reason, '')
        self.api.modify(pdb, change, 'status')

    def _budget(self, spec, pods):
        """(expected, desired healthy); desired is None if a pod's controller has no scale (a mirror pod's has none): then nothing is allowed."""
        least, most = spec.get('minAvailable'), spec.get('maxUnavailable')
        if most is None and not isinstance(least, str):
            return len(pods), least or 0
        scales = {}
        for e in pods:
            owner = self.store.by_uid.get(e.info.owner)
            if owner is None or owner.res not in (REPLICASETS, BY_NAME['statefulsets.apps']):
                return len(pods), None
            top = self.store.by_uid.get(controller_uid(owner.obj['metadata'])) or owner
            scales[top.uid] = top.obj['spec'].get('replicas', 1)
        expected = sum(scales.values())
        if most is not None:
            return expected, expected - percent(most, expected, True)
        return expected, percent(least, expected, True)

    # ---- services and namespaces

    def sync_service(self, ns, name):
        svc = self.store.get(SERVICES, ns, name)
        current = next((e for e in self.store.all(ENDPOINTSLICES) if e.ns == ns and (e.labels or {}).get('kubernetes.io/service-name') == name), None)
        if svc is None or not svc.obj['spec'].get('selector'):
            return
        want = [(k, 'In', [v]) for k, v in svc.obj['spec']['selector'].items()]
        ends = []
        for e in sorted((e for e in self.store.all(PODS) if e.ns == ns and selection.matches(want, e.labels)), key=lambda e: e.name):
            ip = (e.obj.get('status') or {}).get('podIP')
            if ip and e.info.node and e.info.phase == 'Running':
                serving = e.info.ready
                ends.append({'addresses': [ip], 'nodeName': e.info.node, 'targetRef': {'kind': 'Pod', 'namespace': ns, 'name': e.name, 'uid': e.uid},
                             'conditions': {'ready': serving and not e.info.terminating, 'serving': serving, 'terminating': e.info.terminating}})
        ports = [{'name': p.get('name', ''), 'port': p['targetPort'] if isinstance(p.get('targetPort'), int) else p['port'],
                  'protocol': p.get('protocol', 'TCP')} for p in svc.obj['spec'].get('ports') or []]
        if current is None:
            self.api.create(ENDPOINTSLICES, ns, {
                'metadata': {'generateName': name + '-', 'ownerReferences': [owner_ref(svc)], 'labels': {
                    'kubernetes.io/service-name': name, 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io'}},
                'addressType': 'IPv4', 'endpoints': ends, 'ports': ports}, MANAGER)
        else:
            self.api.modify(current, lambda o: o.update(endpoints=ends, ports=ports))

    def sync_namespace(self, _, name):
        if self.store.get(NAMESPACES, None, name) is None:
            return
        for res, obj in ((SERVICEACCOUNTS, {'metadata': {'name': 'default'}}), (CONFIGMAPS, {'metadata': {'name': 'kube-root-ca.crt'}, 'data': {'ca.crt': ''}})):
            if self.store.get(res, name, obj['metadata']['name']) is None:
                self.api.create(res, name, obj, MANAGER)


def _drop_owner(obj, uid):
    obj['metadata']['ownerReferences'] = [r for r in obj['metadata'].get('ownerReferences') or [] if r.get('uid') != uid]
