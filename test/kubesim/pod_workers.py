"""One worker for each pod on the node: admission, start, running, stop. Works from a desired set, knows nothing of the API's protocol."""
import asyncio
import time

import pod_status
import quantity
import static_rules
from store import now

IGNORE_TERM = 'kubesim/ignore-term'                # a pod with this annotation uses up its grace period, as one that ignores TERM does
TERM_SECONDS = 0.1                                 # how long a container that handles TERM takes to end
KILL_SECONDS = 0.1                                 # how often it is looked whether one that cannot be killed has been thawed


class Worker:
    """A pod that this node has accepted, is running or has failed."""

    def __init__(self, pod, source):
        self.pod, self.source = pod, source        # source: api or file
        self.uid = pod['metadata']['uid']
        self.key = (pod['metadata']['namespace'], pod['metadata']['name'])
        self.state = 'starting'                    # starting, running, stopping, failed, vanished
        self.qos = quantity.qos_class(pod['spec'])
        self.accepted = self.since = now()
        self.reason = self.message = None
        self.ip, self.attempt, self.task, self.frozen = None, 0, None, False

    def containers(self, missing):
        return [c['name'] for c in self.pod['spec'].get('containers') or [] if c.get('image') not in missing]


class PodWorkers:
    def __init__(self, options, folders, journal, before_start, on_status, on_gone):
        self.o, self.folders, self.journal = options, folders, journal
        self.before_start, self.on_status, self.on_gone = before_start, on_status, on_gone
        self.workers, self.addresses = {}, 0
        self.labels = {}                           # what is known of the node's labels
        self.frozen, self.looked = {}, False       # uid → is it frozen, as last seen; has anybody looked yet

    def note(self, event, w, **more):
        orig = (w.pod['metadata'].get('annotations') or {}).get('edge-healer.io/original-uid')
        if orig:
            more['orig'] = orig
        self.journal(event, ns=w.key[0], name=w.key[1], uid=w.uid, source=w.source, **more)

    def busy_name(self, key, uid):
        """Is there another pod of this name that has not ended yet?"""
        return any(w.key == key and w.uid != uid and w.state != 'failed' for w in self.workers.values())

    def missing(self, w):
        return static_rules.missing_images(w.pod, self.o.image)

    def add(self, pod, source):
        w = Worker(pod, source)
        self.workers[w.uid] = w
        images = self.missing(w)
        if self.folders.running(w.uid, w.qos, ['POD'] + w.containers(images)):
            w.ip, w.state = self._address(w), 'running'    # containers outlive a kubelet
            self.folders.start(w.pod, w.qos, w.containers(images))
            self.note('recovered', w)
            self.on_status(w)
            return
        active = [x for x in self.workers.values() if x is not w and x.state in ('starting', 'running')]
        try:
            victims = static_rules.admit(pod, [x.pod for x in active], pod_status.room_of(self.o), self.labels, self.o.node_name)
        except static_rules.Denied as e:
            self.fail(w, e.reason, e.message)
            self.note('denied', w, reason=e.reason, message=e.message)
            return
        doomed = {v['metadata']['uid'] for v in victims}
        for x in active:
            if x.uid in doomed:
                self.note('preempted', x, by=w.uid)
                self.stop(x, 0, failed=('Preempting', 'Preempted in order to admit critical pod'))
        self.note('start', w)
        self.folders.admit(w.uid, w.qos)
        w.task = asyncio.ensure_future(self._start(w, time.monotonic()))

    async def _start(self, w, began):
        await self.before_start(w)
        rest = began + self.o.start_ms / 1000 - time.monotonic()
        await asyncio.sleep(max(0.0, rest))
        images = self.missing(w)
        w.ip, w.since = self._address(w), now()
        self.folders.start(w.pod, w.qos, w.containers(images), w.attempt)
        w.state = 'running'
        self.note('image-missing' if images else 'running', w)
        self.on_status(w)

    def _address(self, w):
        if w.pod['spec'].get('hostNetwork'):
            return self.o.node_ip
        self.addresses += 1
        part = sum(self.o.node_name.encode()) % 200 + 20
        return '10.%d.%d.%d' % (part, self.addresses // 250 % 250, self.addresses % 250 + 2)

    def update(self, w, pod):
        """The same uid with other content. A failed pod is tried again; changed containers are restarted; the rest is only noted."""
        old, w.pod = w.pod, pod
        if w.state == 'failed':
            del self.workers[w.uid]
            self.add(pod, w.source)
        elif w.state == 'running' and old['spec'].get('containers') != pod['spec'].get('containers'):
            self.note('restart', w)
            for c in old['spec'].get('containers') or []:
                self.folders.stop_container(w.uid, w.qos, c['name'], w.attempt)
            w.attempt += 1
            w.state = 'starting'
            w.task = asyncio.ensure_future(self._start(w, time.monotonic()))

    def fail(self, w, reason, message):
        w.state, w.reason, w.message, w.since = 'failed', reason, message, now()
        self.on_status(w)

    def stop(self, w, grace=None, failed=None):
        """Ends the pod; afterwards it is gone, or failed with this (reason, message)."""
        if w.state == 'failed' and failed is None:
            self.workers.pop(w.uid, None)
            self.on_gone(w)
            return
        if w.state == 'stopping':
            return
        if w.task is not None:
            w.task.cancel()
        if grace is None:
            grace = w.pod['spec'].get('terminationGracePeriodSeconds', 30)
        deaf = w.frozen or IGNORE_TERM in (w.pod['metadata'].get('annotations') or {})     # who is frozen hears no TERM
        seconds = grace if deaf else min(grace, TERM_SECONDS)
        if self.o.grace_cap is not None:
            seconds = min(seconds, self.o.grace_cap)
        was, w.state = w.state, 'stopping'
        w.task = asyncio.ensure_future(self._stop(w, seconds if was == 'running' else 0, failed))

    async def _stop(self, w, seconds, failed):
        self.note('stopping', w)
        await asyncio.sleep(seconds)
        while self.folders.outlives_kill(self.folders.pod(w.uid, w.qos)):
            await asyncio.sleep(KILL_SECONDS)
        self.folders.stop(w.pod, w.qos)
        self.note('stop', w)
        if failed is not None:
            self.fail(w, *failed)
        else:
            self.workers.pop(w.uid, None)
        self.on_gone(w)

    def vanish(self, w):
        """Its containers are gone and stay gone, while the kubelet believes that it is at work on them (local loss)."""
        if w.task is not None:
            w.task.cancel()
        self.folders.stop(w.pod, w.qos)
        w.state, w.since = 'vanished', now()
        self.note('vanished', w)
        self.on_status(w)

    def bring_back(self, w):
        """The kubelet gets a vanished pod to run after all."""
        w.attempt, w.state = w.attempt + 1, 'starting'
        self.note('start', w)
        w.task = asyncio.ensure_future(self._start(w, time.monotonic()))

    def watch_freezers(self):
        """Notes in the journal who has been frozen or thawed from outside, and when. A kubelet does not notice.

        Looks at the folders, not at the workers: what a kubelet started offline does not know yet can be frozen too. What a new
        kubelet finds is always noted: it may have been thawed while none was there to see it.
        """
        folders = self.folders.leftovers()
        for uid, folder in folders.items():
            state = self.folders.frozen(folder)
            if state is None or self.frozen.get(uid) == state[0]:
                continue
            w = self.workers.get(uid)
            if w is not None:
                w.frozen = state[0]
            if state[0] or uid in self.frozen or not self.looked:
                event = 'frozen' if state[0] else 'thawed'
                self.note(event, w, t=state[1]) if w is not None else self.journal(event, uid=uid, source='orphan', t=state[1])
            self.frozen[uid] = state[0]
        self.frozen = {uid: frozen for uid, frozen in self.frozen.items() if uid in folders}
        self.looked = True
