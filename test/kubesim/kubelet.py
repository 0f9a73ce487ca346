#!/usr/bin/env python3
"""A simulated kubelet: one node, one process, a client like any other of any API server.

It registers its Node, renews its Lease, runs (pretends to run) the pods bound to it and the static pods of its folder, writes mirror pods, and
leaves on disk what a real node would: pod cgroups, log folders, a boot id.
"""
import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import client
import kubelet_control
import pod_status
import static_rules
from cgroups import PodFolders, STYLES
from node_agent import NodeAgent
from pod_workers import PodWorkers
from static_source import StaticSource
from store import new_uid
from waiting import within

MIRROR = static_rules.MIRROR
FREEZER_SECONDS = 0.1
SWEEP_SECONDS = 2                                  # as a real kubelet looks again for containers that nobody wants


def options(argv):
    p = argparse.ArgumentParser(description='A simulated kubelet.')
    p.add_argument('--kubeconfig', required=True, metavar='FILE')
    p.add_argument('--node-name', required=True)
    p.add_argument('--node-ip', default='127.0.0.1')
    p.add_argument('--root', required=True, metavar='DIR', help='holds manifests/, cgroup/, logs/ and boot_id')
    p.add_argument('--static-pod-path', metavar='DIR')
    p.add_argument('--cgroup-root', metavar='DIR', help='the folder that holds kubepods or kubepods.slice')
    p.add_argument('--pod-logs', metavar='DIR')
    p.add_argument('--healthz', metavar='IP:PORT', help='serve /healthz here (a real kubelet: 127.0.0.1:10248)')
    p.add_argument('--port', type=int, default=10250,
                   help='the kubelet port on the node IP: TLS with a certificate of its own, and it answers 401. 0: none')
    p.add_argument('--serving-name', metavar='NAME', help='what that certificate names; default: the node')
    p.add_argument('--cpu', default='4')
    p.add_argument('--memory', default='8Gi')
    p.add_argument('--max-pods', type=int, default=110)
    p.add_argument('--label', action='append', default=[], metavar='K=V')
    p.add_argument('--image', action='append', default=[], metavar='NAME',
                   help='an image that is present (repeatable); default: all but those of registry.invalid')
    p.add_argument('--start-ms', type=float, default=200.0, help='from seeing a pod to its running')
    p.add_argument('--lease-seconds', type=float, default=10.0)
    p.add_argument('--status-seconds', type=float, default=10.0)
    p.add_argument('--hang-seconds', type=float, default=30.0, help='how long a start waits for an API server that does not answer')
    p.add_argument('--backoff-scale', type=float, default=10.0, metavar='N',
                   help="divides the reflector's back-off (client-go: 800 ms doubling to 30 s, jitter); 1: as a real one")
    p.add_argument('--cgroup-style', choices=STYLES, default='v2-cgroupfs')
    p.add_argument('--journal', metavar='FILE')
    p.add_argument('--grace-cap', type=float, metavar='SECONDS', help='no stop takes longer than this')
    p.add_argument('--reboot', action='store_true', help='the node was without power: new boot id, no containers')
    o = p.parse_args(argv)
    o.node_name = o.node_name.lower()
    o.static_pod_path = o.static_pod_path or os.path.join(o.root, 'manifests')
    o.cgroup_root = o.cgroup_root or os.path.join(o.root, 'cgroup')
    o.pod_logs = o.pod_logs or os.path.join(o.root, 'logs')
    for text in o.label:
        if '=' not in text:
            p.error('--label wants K=V, not %r' % text)
    return o


class Journal:
    """What happened on this node and when, as JSON lines: what the tests judge by."""

    def __init__(self, path, node):
        self.node = node
        self.file = open(path, 'a', buffering=1) if path else None

    def __call__(self, event, **fields):
        if self.file:
            row = dict({'t': time.time(), 'mono': time.monotonic(), 'node': self.node, 'event': event}, **fields)
            self.file.write(json.dumps(row) + '\n')


def boot_id(root, reboot):
    path = os.path.join(root, 'boot_id')
    if not reboot and os.path.exists(path):
        with open(path) as f:
            return f.read().strip()
    value = new_uid()
    with open(path + '.new', 'w') as f:
        f.write(value + '\n')
    os.rename(path + '.new', path)
    return value


class Kubelet:
    def __init__(self, o):
        self.o = o
        os.makedirs(o.root, exist_ok=True)
        self.boot_id = boot_id(o.root, o.reboot)
        self.journal = Journal(o.journal, o.node_name)
        self.folders = PodFolders(o.cgroup_root, o.pod_logs, o.cgroup_style)
        if o.reboot:
            self.folders.clear()
        config = client.Config(o.kubeconfig)
        local = config.host.startswith('127.') or config.host == 'localhost'
        source = o.node_ip if local and o.node_ip.startswith('127.') else None     # so that faults can tell the nodes apart
        agent = 'kubelet/v1.36.0 (%s) kubesim' % o.node_name

        def connection():
            return client.Connection(config, agent, source)
        self.calls, self.watch_conn, self.start_conn = connection(), connection(), connection()
        self.node = NodeAgent(o, self.boot_id, self.calls, connection(), self.journal)
        self.workers = PodWorkers(o, self.folders, self.journal, self._before_start, self._status_changed, self._pod_gone)
        self.source = StaticSource(o.static_pod_path, o.node_name, self.reconcile, self._refused)
        self.api_pods, self.synced, self.up = {}, False, False
        self.dirty, self.api_wake = set(), asyncio.Event()
        self.touching = None

    # ---- the hang

    async def _before_start(self, w):
        """A kubelet that has known the API server calls it before it starts a new static pod, on its long-lived connection.

        Refused or reset: it goes on at once. No answer: it hangs until --hang-seconds are over or the connection is destroyed. All
        pods that start meanwhile share the one call. A broken connection is not tried again: the start goes on without the answer.
        """
        if w.source != 'file' or w.attempt or not self.synced:
            return
        if self.touching is None or self.touching.done():
            self.touching = asyncio.ensure_future(self._touch())
        began = time.monotonic()
        await asyncio.shield(self.touching)
        if time.monotonic() - began > 1:
            self.workers.note('hung', w, seconds=round(time.monotonic() - began, 3))

    async def _touch(self):
        try:
            await self.start_conn.call('GET', '/api/v1/nodes/' + self.o.node_name, timeout=self.o.hang_seconds, again=False)
        except (client.HttpError, client.Unreachable):
            pass

    # ---- what should run

    def _refused(self, path, message):
        self.journal('refused', path=os.path.basename(path), message=message, source='file')
        print('kubelet %s: %s: %s' % (self.o.node_name, os.path.basename(path), message), file=sys.stderr, flush=True)

    def _is_mirror(self, obj):
        return MIRROR in (obj['metadata'].get('annotations') or {})

    def reconcile(self):
        """Compares what should run with what does. Nothing is ever stopped before the API server was reached once (the delete trap)."""
        self.workers.labels = self.node.labels
        wanted = {}
        for pod in self.source.pods.values():
            wanted[pod['metadata']['uid']] = (pod, 'file')
        for obj in self.api_pods.values():
            if not self._is_mirror(obj) and 'deletionTimestamp' not in obj['metadata'] and (
                    (obj.get('status') or {}).get('phase') not in ('Failed', 'Succeeded')):
                wanted[obj['metadata']['uid']] = (obj, 'api')
        if self.synced:
            for w in list(self.workers.workers.values()):
                if w.uid not in wanted:
                    self._remove(w)
        for uid, (pod, source) in wanted.items():
            w = self.workers.workers.get(uid)
            if w is None:
                if not self.workers.busy_name((pod['metadata']['namespace'], pod['metadata']['name']), uid):
                    self.workers.add(pod, source)
            elif source == 'file' and w.state != 'stopping' and (w.pod['spec'] != pod['spec'] or w.pod['metadata'] != pod['metadata']):
                self.workers.update(w, pod)
        self.api_wake.set()

    def _remove(self, w):
        obj = self.api_pods.get(w.key)
        own = obj is not None and obj['metadata']['uid'] == w.uid
        if own and (obj.get('status') or {}).get('phase') in ('Failed', 'Succeeded') and 'deletionTimestamp' not in obj['metadata']:
            return                                 # it failed here; the API's object stays to tell
        grace = obj['metadata'].get('deletionGracePeriodSeconds') if own else None
        self.workers.stop(w, grace)

    def _status_changed(self, w):
        self.dirty.add(w.uid)
        self.api_wake.set()

    def _pod_gone(self, w):
        self.reconcile()

    # ---- the API's view

    def _listed(self, items):
        self.api_pods = {(o['metadata']['namespace'], o['metadata']['name']): o for o in items}
        first, self.synced, self.up = not self.synced, True, True
        self.dirty.update(self.workers.workers)
        self.reconcile()
        if first:
            self._sweep()
            self.touching = asyncio.ensure_future(self._touch())     # its connection is an established one from now on

    def _sweep(self):
        """Removes what runs and nobody wants: known only now, because only now all sources have spoken."""
        for uid, folder in self.folders.leftovers().items():
            if uid in self.workers.workers:
                continue
            if self.folders.outlives_kill(folder):
                asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
            else:
                shutil.rmtree(folder, ignore_errors=True)
                self.journal('stop', uid=uid, source='orphan')

    def _event(self, kind, obj):
        self.up = True
        key = (obj['metadata']['namespace'], obj['metadata']['name'])
        if kind == 'DELETED':
            self.api_pods.pop(key, None)
        else:
            self.api_pods[key] = obj
        for w in self.workers.workers.values():
            if w.key == key:
                self.dirty.add(w.uid)
        self.reconcile()

    def _down(self, reason):
        self.up = False

    async def _api_work(self):
        """Writes to the API server what is due: mirror pods, deletions, statuses. What cannot be written now is written later."""
        while True:
            await self.api_wake.wait()
            self.api_wake.clear()
            if not self.synced:
                continue
            try:
                await self._mirrors()
                await self._finish_deletions()
                while self.dirty:
                    uid = self.dirty.pop()
                    try:
                        await self._write_status(uid)
                    except (client.Unreachable, client.HttpError) as e:
                        if isinstance(e, client.Unreachable) or e.code >= 500:
                            self.dirty.add(uid)
                        raise
            except (client.Unreachable, client.HttpError) as e:
                if isinstance(e, client.HttpError) and e.code not in (404, 409):
                    print('kubelet %s: %s' % (self.o.node_name, e), file=sys.stderr, flush=True)
                await asyncio.sleep(0.3)
                self.api_wake.set()

    def _path(self, obj):
        return '/api/v1/namespaces/%s/pods/%s' % (obj['metadata']['namespace'], obj['metadata']['name'])

    async def _delete(self, obj):
        body = {'kind': 'DeleteOptions', 'apiVersion': 'v1', 'gracePeriodSeconds': 0, 'preconditions': {'uid': obj['metadata']['uid']}}
        try:
            await self.calls.call('DELETE', self._path(obj), body)
        except client.HttpError as e:
            if e.code not in (404, 409):
                raise

    async def _mirrors(self):
        """Each static pod that has a worker gets a mirror pod; a mirror without one goes."""
        ours = {w.key: w for w in self.workers.workers.values() if w.source == 'file'}
        for key, obj in list(self.api_pods.items()):
            w = ours.get(key)
            if self._is_mirror(obj) and (w is None or 'deletionTimestamp' in obj['metadata'] or obj['metadata']['annotations'][MIRROR] != w.uid):
                await self._delete(obj)
                self.journal('mirror-deleted', ns=key[0], name=key[1], uid=obj['metadata']['uid'])
                if self.api_pods.get(key) is obj:
                    del self.api_pods[key]
        for key, w in ours.items():
            if key not in self.api_pods and w.state != 'stopping' and w.key in self.source.pods and self.node.uid:
                await self._create_mirror(w)

    async def _create_mirror(self, w):
        meta = {k: v for k, v in w.pod['metadata'].items() if k not in ('uid', 'ownerReferences')}
        meta['annotations'] = dict(meta.get('annotations') or {}, **{MIRROR: w.uid})
        meta['ownerReferences'] = [{'apiVersion': 'v1', 'kind': 'Node', 'name': self.o.node_name, 'uid': self.node.uid, 'controller': True}]
        body = {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': meta, 'spec': w.pod['spec']}
        try:
            obj = await self.calls.call('POST', '/api/v1/namespaces/%s/pods' % w.key[0], body)
        except client.HttpError as e:
            if e.reason != 'AlreadyExists':
                self.workers.note('mirror-refused', w, message=str(e))
            return
        self.api_pods.setdefault(w.key, obj)
        self.workers.note('mirror-created', w, mirror_uid=obj['metadata']['uid'])
        self.dirty.add(w.uid)

    async def _finish_deletions(self):
        for obj in list(self.api_pods.values()):
            if 'deletionTimestamp' in obj['metadata'] and not self._is_mirror(obj) and obj['metadata']['uid'] not in self.workers.workers:
                await self._delete(obj)

    async def _write_status(self, uid):
        w = self.workers.workers.get(uid)
        obj = self.api_pods.get(w.key) if w else None
        if obj is None or w.state in ('starting', 'stopping') or (w.source == 'api' and obj['metadata']['uid'] != uid) or (
                w.source == 'file' and not self._is_mirror(obj)):
            return
        status = pod_status.of_pod(w, self.o.node_ip, self.workers.missing(w))
        if pod_status.matches(obj, status):
            return
        body = {'metadata': {'uid': obj['metadata']['uid']}, 'status': status}
        new = await self.calls.call('PATCH', self._path(obj) + '/status', body, 'application/strategic-merge-patch+json')
        if self.api_pods.get(w.key, {}).get('metadata', {}).get('uid') == new['metadata']['uid']:
            self.api_pods[w.key] = new

    # ---- running

    async def _freezers(self):
        while True:
            self.workers.watch_freezers()
            await asyncio.sleep(FREEZER_SECONDS)

    async def _follow_pods(self, selector):
        """As a real kubelet: the API's pods are a source only once the own Node was read, or its labels would be missing at admission."""
        await self.node.registered.wait()
        await client.reflect(self.watch_conn, '/api/v1/pods', selector, self._listed, self._event, self._down,
                             client.Backoff(self.o.backoff_scale, lambda s: self.journal('backoff', seconds=round(s, 3))))

    async def run(self):
        await self.node.serve()
        selector = 'fieldSelector=spec.nodeName%3D' + self.o.node_name
        await kubelet_control.serve(os.path.join(self.o.root, 'control'), self.workers)
        with open(os.path.join(self.o.root, 'kubelet.pid'), 'w') as f:
            f.write('%d\n' % os.getpid())
        tasks = [asyncio.ensure_future(t) for t in (
            self.source.run(), self.node.run(), self._api_work(), self._freezers(),
            self._follow_pods(selector))]
        self.journal('boot', boot_id=self.boot_id)
        try:
            await within(self.node.registered.wait(), 2)
        except asyncio.TimeoutError:
            pass
        print('kubelet %s: ready' % self.o.node_name, flush=True)
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for sig in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sig, stop.set)
        ending = asyncio.ensure_future(stop.wait())
        done, _ = await asyncio.wait(tasks + [ending], return_when=asyncio.FIRST_COMPLETED)
        for t in done - {ending}:
            t.result()                             # none of them ends but by a bug


async def start(o):
    await Kubelet(o).run()


def main(argv):
    o = options(argv)
    try:
        asyncio.run(start(o))
    except (OSError, ValueError) as e:
        print('kubelet: %s' % e, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
