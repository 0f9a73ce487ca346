#!/usr/bin/env python3
"""A test API server for Kubernetes clients: a real server's answers, simple controllers, and faults on request.

  apiserver.py --listen 127.0.0.1:18080            a small control plane; kubelet.py brings the nodes
  apiserver.py --listen 127.0.0.1:18080 --bare     an empty server, no controllers
"""
import argparse
import asyncio
import base64
import gc
import os
import signal
import ssl
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from control import Control
from http_api import HttpApi
from rest import Api
from schema import CONFIGMAPS, ENDPOINTSLICES, NAMESPACES, SERVICES
from store import Store, dumps, now
import controllers
import node_lifecycle
import persist
import scheduler
import seed


def options(argv):
    p = argparse.ArgumentParser(description='A test API server with controllers.')
    p.add_argument('--listen', default='127.0.0.1:0', metavar='HOST:PORT', help='port 0 takes a free one; the URL is printed')
    p.add_argument('--bare', action='store_true', help='no controllers, no scheduler, no namespaces but default')
    p.add_argument('--tls-cert', metavar='FILE')
    p.add_argument('--tls-key', metavar='FILE')
    p.add_argument('--client-ca', metavar='FILE', help='a client certificate signed by it is accepted instead of a token')
    p.add_argument('--token', action='append', default=[], help='accepted bearer token (repeatable); without any everybody may do all')
    p.add_argument('--speed', type=float, default=1.0, help='divides the times of the controllers and of bookmarks')
    p.add_argument('--no-scheduler', action='store_true', help='start with the scheduler off (POST /kubesim/scheduler turns it on)')
    p.add_argument('--no-watchlist', action='store_true', help='answer sendInitialEvents as a server without WatchList does')
    p.add_argument('--history', type=int, default=10000, metavar='N', help='watch events kept for each resource; older versions are 410')
    p.add_argument('--write-kubeconfig', metavar='FILE')
    p.add_argument('--data', metavar='FILE', help='the objects are kept here: written at the end (SIGTERM), read at the start')
    p.add_argument('--service-ip', metavar='IP', help='of the Service kubernetes; default 10.96.0.1, on loopback 127.96.0.1')
    p.add_argument('--advertise', action='append', metavar='HOST:PORT', help='an endpoint of that Service (repeatable); default: --listen')
    p.add_argument('--seed-nodes', type=int, default=0, metavar='N')
    p.add_argument('--seed-replicasets', type=int, default=0, metavar='N')
    p.add_argument('--seed-pods', type=int, default=0, metavar='N')
    o = p.parse_args(argv)
    if bool(o.tls_cert) != bool(o.tls_key):
        p.error('--tls-cert and --tls-key belong together')
    if o.client_ca and not o.tls_cert:
        p.error('--client-ca needs --tls-cert')
    return o


def tls_context(o):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(o.tls_cert, o.tls_key)
    ctx.set_alpn_protocols(['http/1.1'])
    if o.client_ca:
        ctx.load_verify_locations(o.client_ca)
        ctx.verify_mode = ssl.CERT_OPTIONAL
    return ctx


def kubeconfig(o, url):
    cluster = {'server': url}
    if o.tls_cert:
        with open(o.tls_cert, 'rb') as f:
            cluster['certificate-authority-data'] = base64.b64encode(f.read()).decode()
    user = {'token': o.token[0]} if o.token else {}
    return {'apiVersion': 'v1', 'kind': 'Config', 'current-context': 'kubesim', 'clusters': [{'name': 'kubesim', 'cluster': cluster}],
            'users': [{'name': 'kubesim', 'user': user}],
            'contexts': [{'name': 'kubesim', 'context': {'cluster': 'kubesim', 'user': 'kubesim'}}]}


def populate(api, o, host, port):
    """The objects that a new cluster has."""
    names = ['default'] if o.bare else ['default', 'kube-system', 'kube-public', 'kube-node-lease']
    for ns in names:
        api.create(NAMESPACES, None, {'metadata': {'name': ns}}, 'kube-apiserver')
    if o.bare:
        return
    api.create(SERVICES, 'default', {'metadata': {'name': 'kubernetes', 'labels': {'component': 'apiserver', 'provider': 'kubernetes'}}, 'spec': {
        'clusterIP': o.service_ip or ('127.96.0.1' if host.startswith('127.') else '10.96.0.1'),
        'ports': [{'name': 'https', 'port': 443, 'targetPort': port}]}}, 'kube-apiserver')
    for i, (ip, at) in enumerate([a.rsplit(':', 1) for a in o.advertise or ['%s:%d' % (host, port)]]):
        ip = ip.strip('[]')
        api.create(ENDPOINTSLICES, 'default', {
            'metadata': {'name': 'kubernetes' + ('-%d' % i if i else ''), 'labels': {'kubernetes.io/service-name': 'kubernetes'}},
            'addressType': 'IPv6' if ':' in ip else 'IPv4', 'endpoints': [{'addresses': [ip], 'conditions': {'ready': True}}],
            'ports': [{'name': 'https', 'port': int(at), 'protocol': 'TCP'}]}, 'kube-apiserver')
    api.create(CONFIGMAPS, 'kube-public', {'metadata': {'name': 'cluster-info', 'annotations': {'kubesim/started': now()}}}, 'kube-apiserver')


class Server:
    """The whole control plane on the running event loop; tests start it in their own process too."""

    def __init__(self, o):
        self.o, self.store = o, Store(o.history)
        self.api, self.controllers, self.tasks = Api(self.store), [], []
        self.scheduler = None

    async def start(self):
        o = self.o
        host, port = o.listen.rsplit(':', 1)
        self.control = Control()
        self.http = HttpApi(self.api, self.control, o.token, bool(o.client_ca), not o.no_watchlist, 60.0 / o.speed)
        self.server = await asyncio.start_server(self.http.serve, host.strip('[]'), int(port), limit=1 << 17, backlog=4096,
                                                 ssl=tls_context(o) if o.tls_cert else None)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = '%s://%s:%d' % ('https' if o.tls_cert else 'http', host, self.port)
        old = bool(o.data) and os.path.exists(o.data)
        if not old:
            populate(self.api, o, host, self.port)
        if o.seed_nodes or o.seed_replicasets or o.seed_pods:
            seed.fill(self.store, o.seed_nodes, o.seed_replicasets, o.seed_pods)
        if not o.bare:
            self._start_controllers()
        if old:
            persist.load(self.store, o.data)
        if o.write_kubeconfig:
            with open(o.write_kubeconfig, 'w') as f:
                f.write(dumps(kubeconfig(o, self.url)) + '\n')
            os.chmod(o.write_kubeconfig, 0o600)
        return self

    def _start_controllers(self):
        self.scheduler = scheduler.Scheduler(self.api, self.o.speed, not self.o.no_scheduler)
        self.control.scheduler = self.scheduler
        self.controllers = [controllers.Workloads(self.api, self.o.speed), node_lifecycle.NodeLifecycle(self.api, self.o.speed), self.scheduler]
        self.tasks = [asyncio.ensure_future(c.run()) for c in self.controllers]

    async def stop(self):
        if self.o.data:
            persist.save(self.store, self.o.data)
        for t in self.tasks:
            t.cancel()
        self.server.close()
        for conn in list(self.http.connections):
            conn.writer.transport.abort()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def main(argv):
    o = options(argv)
    try:
        server = await Server(o).start()
    except (OSError, ValueError) as e:
        print('kubesim: %s' % e, file=sys.stderr)
        return 1
    gc.collect()
    gc.freeze()                                    # what was seeded need not be looked at by every collection
    print('kubesim: listening on %s' % server.url, flush=True)
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for sig in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sig, stop.set)
    await stop.wait()
    await server.stop()
    return 0


if __name__ == '__main__':
    sys.exit(asyncio.run(main(sys.argv[1:])))
