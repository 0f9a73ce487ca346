"""A scheduler with the filters that matter to edge-healer, which can be switched off while the server runs.

It looks at node selectors, required node affinity, taints, cordons and requests (cpu, memory, pods), and prefers the emptiest node. While it is
on it holds the Lease kube-system/kube-scheduler.
"""
import asyncio
import traceback

import selection
from controllers_util import keep_lease
from errors import ApiError
from quantity import milli, units
from rest import set_condition
from schema import NODES, PODS
from waiting import within

RENEW_SECONDS = 2.0                                # the leader election retry period of the real one
BATCH = 50


class Scheduler:
    def __init__(self, api, speed, enabled):
        self.api, self.store, self.speed, self.enabled = api, api.store, speed, enabled
        self.used = {}                             # node → {pod key: (milli-CPU, bytes)}
        self.total = {}                            # node → [milli-CPU, bytes], the sum of the above
        self.waiting = {}                          # keys of unbound pods, in the order they came
        self.tried = set()                         # of these, the ones that fit nowhere until something changes
        self.wake = asyncio.Event()
        for e in self.store.all(PODS):
            self._note(e)
        self.store.listeners.append(self._changed)

    def set_enabled(self, on):
        self.enabled = on
        self.tried.clear()
        self.wake.set()

    def _note(self, e):
        key = (e.ns, e.name)
        if e.info.node:
            if e.info.phase not in ('Succeeded', 'Failed'):
                self._use(e.info.node, key, (e.info.cpu, e.info.memory))
            else:
                self._use(e.info.node, key, None)
            self.waiting.pop(key, None)
        elif e.info.active:
            self.waiting[key] = True

    def _use(self, node, key, requests):
        """Books a pod's requests on a node; None takes them off again."""
        rows, total = self.used.setdefault(node, {}), self.total.setdefault(node, [0, 0])
        before = rows.pop(key, (0, 0))
        if requests is not None:
            rows[key] = requests
        cpu, memory = requests or (0, 0)
        total[0] += cpu - before[0]
        total[1] += memory - before[1]

    def _changed(self, res, ev):
        if res is PODS:
            key = (ev.entry.ns, ev.entry.name)
            self.tried.discard(key)
            if ev.type == 'DELETED':
                self.waiting.pop(key, None)
                if ev.old is not None:
                    self._use(ev.old.info.node, key, None)
                self.tried.clear()                 # room was made
            else:
                self._note(ev.entry)
            self.wake.set()
        elif res is NODES and self._matters(ev):
            self.tried.clear()
            self.wake.set()

    @staticmethod
    def _matters(ev):
        """A node's heartbeat is no reason to look at every pod again."""
        if ev.old is None or ev.type == 'DELETED':
            return True
        a, b = ev.entry.obj, ev.old.obj
        return (a.get('spec') != b.get('spec') or ev.entry.labels != ev.old.labels
                or (a.get('status') or {}).get('allocatable') != (b.get('status') or {}).get('allocatable'))

    async def run(self):
        loop, lease_at = asyncio.get_running_loop(), 0.0
        while True:
            if self.enabled and loop.time() >= lease_at:
                keep_lease(self.api, 'kube-scheduler', 'kubesim')
                lease_at = loop.time() + RENEW_SECONDS
            if self.enabled:
                todo = [k for k in self.waiting if k not in self.tried]
                for i, key in enumerate(todo):
                    try:
                        self._place(key)
                    except ApiError as e:          # somebody else bound or deleted it
                        if e.code not in (404, 409):
                            traceback.print_exc()
                    except Exception:
                        traceback.print_exc()
                        self.tried.add(key)
                    if i % BATCH == BATCH - 1:
                        await asyncio.sleep(0)
                        if not self.enabled:
                            break
            if self.enabled and any(k not in self.tried for k in self.waiting):
                await asyncio.sleep(0)
                continue
            self.wake.clear()
            try:
                await within(self.wake.wait(), max(0.01, lease_at - loop.time()) if self.enabled else None)
            except (TimeoutError, asyncio.TimeoutError):
                pass

    def _place(self, key):
        pod = self.store.get(PODS, *key)
        if pod is None or pod.info.node:
            self.waiting.pop(key, None)
            return
        spec = pod.obj['spec']
        self.tried.add(key)
        if spec.get('schedulerName') != 'default-scheduler' or spec.get('schedulingGates') or pod.info.terminating:
            return
        reasons, best, best_score = {}, None, None
        nodes = list(self.store.all(NODES))
        for node in nodes:
            why, score = self._fit(pod, spec, node)
            if why:
                reasons[why] = reasons.get(why, 0) + 1
            elif best is None or score > best_score:
                best, best_score = node, score
        if best is not None:
            self.api.bind(pod.ns, pod.name, {'metadata': {'uid': pod.uid}, 'target': {'kind': 'Node', 'name': best.name}})
            return
        text = '0/%d nodes are available' % len(nodes) if nodes else 'no nodes available to schedule pods'
        if reasons:
            text += ': ' + ', '.join(sorted('%d %s' % (n, why) for why, n in reasons.items())) + '.'

        def change(o):
            set_condition(o, 'PodScheduled', 'False', 'Unschedulable', text)
        self.api.modify(pod, change, 'status', 'kube-scheduler')
        self.tried.add(key)

    def _fit(self, pod, spec, node):
        """(why not, score): the filters in the order of the real scheduler's messages."""
        obj = node.obj
        node_spec, room = obj.get('spec') or {}, (obj.get('status') or {}).get('allocatable') or {}
        if node_spec.get('unschedulable') and not selection.toleration_for(
                spec.get('tolerations'), {'key': 'node.kubernetes.io/unschedulable', 'effect': 'NoSchedule'}):
            return 'node(s) were unschedulable', None
        for taint in node_spec.get('taints') or []:
            if taint.get('effect') in ('NoSchedule', 'NoExecute') and not selection.toleration_for(spec.get('tolerations'), taint):
                return 'node(s) had untolerated taint {%s: %s}' % (taint.get('key'), taint.get('value') or ''), None
        if not selection.node_affinity_ok(spec, node.labels, node.name):
            return "node(s) didn't match Pod's node affinity/selector", None
        used = self.used.get(node.name, {})
        cpu, memory = self.total.get(node.name, (0, 0))
        cpu_room, memory_room = milli(room.get('cpu', 0)), units(room.get('memory', 0))
        if len(used) + 1 > units(room.get('pods', 0)):
            return 'Too many pods', None
        if pod.info.cpu and cpu + pod.info.cpu > cpu_room:
            return 'Insufficient cpu', None
        if pod.info.memory and memory + pod.info.memory > memory_room:
            return 'Insufficient memory', None
        free = 1 - (cpu + pod.info.cpu) / max(1, cpu_room) + 1 - (memory + pod.info.memory) / max(1, memory_room)
        return None, (round(free, 6), -len(used))
