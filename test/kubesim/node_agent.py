"""The node's own part of a kubelet: registration, lease, node status, /healthz and the kubelet port."""
import asyncio
import sys

import client
import pod_status
import serving
from store import now, now_micro
from waiting import within

FULL_STATUS_SECONDS = 300.0                        # a status without news is still written this often
MERGE, STRATEGIC = 'application/merge-patch+json', 'application/strategic-merge-patch+json'


class NodeAgent:
    def __init__(self, o, boot_id, calls, lease_conn, journal):
        self.o, self.boot_id, self.calls, self.lease_conn, self.journal = o, boot_id, calls, lease_conn, journal
        self.path = '/api/v1/nodes/' + o.node_name
        # Until the API server was reached a kubelet knows only these of its labels.
        self.base = {'kubernetes.io/hostname': o.node_name, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'amd64'}
        self.labels, self.uid = dict(self.base), None
        self.since, self.written = now(), None
        self.registered = asyncio.Event()

    def _own_labels(self):
        return dict(self.base, **dict(text.split('=', 1) for text in self.o.label))

    # ---- registration and status

    async def _register(self):
        obj = {'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': self.o.node_name, 'labels': self._own_labels()}, 'spec': {},
               'status': pod_status.of_node(self.o, self.boot_id, self.since)}
        try:
            self._know(await self.calls.call('POST', '/api/v1/nodes', obj))
        except client.HttpError as e:
            if e.reason != 'AlreadyExists':
                raise
            self._know(await self.calls.call('PATCH', self.path, {'metadata': {'labels': self._own_labels()}}, MERGE))
            await self._write_status()

    def _know(self, obj):
        self.uid, self.labels = obj['metadata']['uid'], obj['metadata'].get('labels') or {}

    async def _write_status(self):
        status = pod_status.of_node(self.o, self.boot_id, self.since)
        self._know(await self.calls.call('PATCH', self.path + '/status', {'status': status}, STRATEGIC))
        self.written = asyncio.get_running_loop().time()

    def _needs_writing(self, obj):
        status = obj.get('status') or {}
        ready = next((c.get('status') for c in status.get('conditions') or [] if c.get('type') == 'Ready'), None)
        return (ready != 'True' or self.written is None or (status.get('nodeInfo') or {}).get('bootID') != self.boot_id
                or asyncio.get_running_loop().time() - self.written > FULL_STATUS_SECONDS)

    async def _status_loop(self):
        while True:
            try:
                if not self.registered.is_set():
                    await self._register()
                    self.registered.set()
                obj = await self.calls.call('GET', self.path + '?resourceVersion=0')
                self._know(obj)
                if self._needs_writing(obj):
                    await self._write_status()
                pause = self.o.status_seconds
            except client.HttpError as e:
                if e.code == 404:
                    self.registered.clear()        # somebody deleted the node: register again
                else:
                    print('kubelet %s: %s' % (self.o.node_name, e), file=sys.stderr, flush=True)
                pause = 1.0
            except client.Unreachable:
                pause = self.o.status_seconds if self.registered.is_set() else 0.5
            await asyncio.sleep(pause)

    # ---- lease

    async def _lease_loop(self):
        base = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
        while True:
            await self.registered.wait()
            pause = self.o.lease_seconds
            try:
                await self._renew(base)
            except client.HttpError as e:
                print('kubelet %s: lease: %s' % (self.o.node_name, e), file=sys.stderr, flush=True)
            except client.Unreachable:
                pause = min(1.0, pause)
            await asyncio.sleep(pause)

    async def _renew(self, base):
        try:
            await self.lease_conn.call('PATCH', base + '/' + self.o.node_name, {'spec': {'renewTime': now_micro(), 'holderIdentity': self.o.node_name}}, MERGE)
        except client.HttpError as e:
            if e.code != 404:
                raise
            await self.lease_conn.call('POST', base, {
                'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease', 'metadata': {
                    'name': self.o.node_name, 'namespace': 'kube-node-lease',
                    'ownerReferences': [{'apiVersion': 'v1', 'kind': 'Node', 'name': self.o.node_name, 'uid': self.uid}]},
                'spec': {'holderIdentity': self.o.node_name, 'leaseDurationSeconds': 40, 'renewTime': now_micro()}})

    # ---- servers

    async def serve(self):
        if self.o.healthz:
            host, port = self.o.healthz.rsplit(':', 1)
            await asyncio.start_server(_answer(b'200 OK', b'ok'), host, int(port))
        if self.o.port:
            await asyncio.start_server(_answer(b'401 Unauthorized', b'Unauthorized'), self.o.node_ip, self.o.port,
                                       ssl=serving.context(self.o.root, self.o.serving_name or self.o.node_name))

    async def run(self):
        await asyncio.gather(self._status_loop(), self._lease_loop())


def _answer(status, body):
    """A server that gives one answer to every request."""
    async def serve(reader, writer):
        try:
            await within(reader.readuntil(b'\r\n\r\n'), 5)
            writer.write(b'HTTP/1.1 %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b' % (status, len(body), body))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError):
            pass
        finally:
            writer.close()
    return serve
