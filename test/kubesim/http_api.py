"""HTTP/1.1 on asyncio: connections, authentication, and the way from a request to the verbs of rest.py."""
import asyncio
import json
import socket
import struct
import time
import traceback
import urllib.parse

import patch as patches
import protobuf
import schema
import table
import watch
from errors import ApiError, bad_request
from faults import Faults
from rest import STATUS_OK, item_bytes, object_bytes
from store import dumps

PIECE = 1 << 18                                    # bytes of a list that are handed to the socket at a time
REASONS = {200: 'OK', 201: 'Created', 202: 'Accepted', 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found',
           405: 'Method Not Allowed', 406: 'Not Acceptable', 409: 'Conflict', 410: 'Gone', 413: 'Request Entity Too Large',
           415: 'Unsupported Media Type', 422: 'Unprocessable Entity', 429: 'Too Many Requests', 500: 'Internal Server Error',
           503: 'Service Unavailable', 504: 'Gateway Timeout'}
MAX_BODY = 3 << 20                                 # as etcd's limit lets through


def date_line():
    return time.strftime('Date: %a, %d %b %Y %H:%M:%S GMT\r\n', time.gmtime())


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        url = urllib.parse.urlsplit(target)
        self.path = urllib.parse.unquote(url.path)
        self.params = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))

    def json(self):
        if 'protobuf' in self.headers.get('content-type', ''):
            return protobuf.decode(self.body)
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as e:
            raise bad_request('couldn\'t get version/kind; json parse error: %s' % e) from None

    @property
    def manager(self):
        return self.params.get('fieldManager') or self.headers.get('user-agent', 'unknown').split('/')[0] or 'unknown'


class Connection:
    """One client connection, with the means to freeze and to reset it."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.peer = (writer.get_extra_info('peername') or ('', 0))[0]
        self.agent, self.request = '', None
        self.open = asyncio.Event()                # cleared while the connection is black-holed
        self.open.set()
        self.slow = None                           # (bytes, seconds) when the body must trickle

    async def send(self, data):
        await self.open.wait()
        if self.slow:
            size, pause = self.slow
            for i in range(0, len(data), size):
                await self.open.wait()
                self.writer.write(data[i:i + size])
                await self.writer.drain()
                await asyncio.sleep(pause)
            return
        self.writer.write(data)
        await self.writer.drain()

    def reset(self):
        """Closes with RST instead of FIN."""
        sock = self.writer.get_extra_info('socket')
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        except OSError:
            pass
        self.open.set()
        self.writer.transport.abort()


class Chunked:
    """A response body of unknown length."""

    def __init__(self, conn):
        self.conn = conn

    async def write(self, data):
        if data:
            await self.conn.send(b'%x\r\n%b\r\n' % (len(data), data))

    async def end(self):
        await self.conn.send(b'0\r\n\r\n')


class HttpApi:
    def __init__(self, api, control, tokens=(), client_certs=False, watchlist=True, bookmark_seconds=60.0):
        self.api, self.store, self.control = api, api.store, control
        self.tokens, self.client_certs = set(tokens), client_certs
        self.watchlist, self.bookmark_seconds = watchlist, bookmark_seconds
        self.faults, self.connections, self.stats = Faults(), set(), {}

    # ---- connections

    async def serve(self, reader, writer):
        conn = Connection(reader, writer)
        self.connections.add(conn)
        sock = writer.get_extra_info('socket')
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.apply_cuts(conn)
            while await self._one(conn):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError, TimeoutError, ValueError):
            pass
        finally:
            self.connections.discard(conn)
            writer.close()

    def apply_cuts(self, conn):
        rule = self.faults.cuts(conn)
        if rule is None:
            conn.open.set()
        elif rule.action == 'refuse':
            conn.reset()
        else:
            conn.open.clear()

    def faults_changed(self):
        for conn in list(self.connections):
            self.apply_cuts(conn)

    async def _read(self, conn):
        head = (await conn.reader.readuntil(b'\r\n\r\n')).decode('latin-1').split('\r\n')
        method, target, _ = head[0].split(' ')
        headers = {}
        for line in head[1:]:
            if line:
                k, _, v = line.partition(':')
                headers[k.strip().lower()] = v.strip()
        if headers.get('expect', '').lower() == '100-continue':
            await conn.send(b'HTTP/1.1 100 Continue\r\n\r\n')
        if 'chunked' in headers.get('transfer-encoding', ''):
            parts = []
            while True:
                size = int((await conn.reader.readline()).split(b';')[0], 16)
                parts.append(await conn.reader.readexactly(size))
                await conn.reader.readline()
                if not size:
                    break
            body = b''.join(parts)
        else:
            size = int(headers.get('content-length') or 0)
            if size > MAX_BODY:
                raise ValueError('body too large')
            body = await conn.reader.readexactly(size) if size else b''
        return Request(method, target, headers, body)

    async def _one(self, conn):
        """One request; True if the connection can take another."""
        conn.request = None
        req = await self._read(conn)
        conn.agent = req.headers.get('user-agent', '')
        conn.request, conn.slow = (req.method, req.target), None
        if req.path.startswith('/kubesim/'):
            await self._answer(conn, req, self.control)
            return self._keep(req)
        self.apply_cuts(conn)
        rule = self.faults.find(conn, req.method, req.target)
        if rule is not None and not await self._fault(conn, req, rule):
            return self._keep(req)
        await conn.open.wait()
        await self._answer(conn, req, self._dispatch, rule)
        return self._keep(req)

    @staticmethod
    def _keep(req):
        return req.headers.get('connection', '').lower() != 'close'

    async def _fault(self, conn, req, rule):
        """Applies a rule; True if the request goes on to be served."""
        if rule.action == 'refuse':
            conn.reset()
            raise ConnectionResetError
        if rule.action == 'blackhole':
            conn.open.clear()
            await conn.open.wait()
        elif rule.action == 'delay':
            await asyncio.sleep(float(rule.doc.get('delayMs', 1000)) / 1000)
        elif rule.action == 'status':
            await self._error(conn, rule.error())
            return False
        elif rule.action == 'slow-body':
            conn.slow = (int(rule.doc.get('bytes', 64)), float(rule.doc.get('delayMs', 50)) / 1000)
        return True

    async def _answer(self, conn, req, handler, rule=None):
        try:
            await handler(conn, req, rule) if handler == self._dispatch else await handler(self, conn, req)
        except ApiError as e:
            await self._error(conn, e)
        except (ConnectionError, asyncio.CancelledError, TimeoutError):
            raise
        except Exception as e:                     # a bug of ours must look like one, not like a hang
            traceback.print_exc()
            await self._error(conn, ApiError(500, 'InternalError', 'kubesim: %r' % e))

    # ---- responses

    async def respond(self, conn, code, body, content_type='application/json', extra=''):
        head = 'HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nAudit-Id: kubesim\r\nCache-Control: no-cache, private\r\n%s%s\r\n' % (
            code, REASONS.get(code, 'Status'), content_type, len(body), date_line(), extra)
        await conn.send(head.encode() + body)

    async def reply(self, conn, code, doc):
        await self.respond(conn, code, doc if isinstance(doc, bytes) else dumps(doc).encode())

    async def _error(self, conn, e):
        extra = 'Retry-After: %s\r\n' % e.retry_after if e.retry_after is not None else ''
        await self.respond(conn, e.code, dumps(e.status()).encode(), extra=extra)

    async def chunked(self, conn, code=200):
        head = 'HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nCache-Control: no-cache, private\r\n%s\r\n'
        await conn.send((head % (code, date_line())).encode())
        return Chunked(conn)

    # ---- requests

    def _authorise(self, conn, req):
        if not self.tokens and not self.client_certs:
            return
        scheme, _, token = req.headers.get('authorization', '').partition(' ')
        if scheme.lower() == 'bearer' and token.strip() in self.tokens:
            return
        tls = conn.writer.get_extra_info('ssl_object')
        if self.client_certs and tls is not None and tls.getpeercert():
            return
        raise ApiError(401, 'Unauthorized', 'Unauthorized')

    async def _dispatch(self, conn, req, rule):
        if req.path in ('/healthz', '/livez', '/readyz'):
            return await self.respond(conn, 200, b'ok', 'text/plain; charset=utf-8')
        self._authorise(conn, req)
        doc = schema.document(req.path) if req.method == 'GET' else None
        if doc is not None:
            return await self.reply(conn, 200, doc)
        place = schema.parse_path(req.path)
        if place is None:
            raise ApiError(404, 'NotFound', 'the server could not find the requested resource', {})
        res, ns, name, sub = place
        verb = self._verb(req, name)
        key = '%s %s%s' % (verb, res.qualified, '/' + sub if sub else '')
        self.stats[key] = self.stats.get(key, 0) + 1
        if verb == 'watch':
            return await watch.serve(self, conn, req, res, ns, name, rule)
        if verb == 'list':
            return await self._list(conn, req, res, ns)
        if verb == 'deletecollection':
            return await self._delete_all(conn, req, res, ns)
        if res.namespaced and ns is None and name is not None:
            raise ApiError(404, 'NotFound', 'the server could not find the requested resource', {})
        code, out = self._call(verb, req, res, ns, name, sub)
        if not isinstance(out, dict):
            if verb == 'get' and table.wanted(req.headers.get('accept', '')):
                out = table.of_list(res, [out], str(out.rv), req.params.get('includeObject'))
            else:
                out = object_bytes(out, res)
        await self.reply(conn, code, out)

    @staticmethod
    def _verb(req, name):
        watching = req.params.get('watch') in ('true', '1')
        verbs = {'GET': 'watch' if watching else ('get' if name else 'list'), 'POST': 'create', 'PUT': 'update', 'PATCH': 'patch',
                 'DELETE': 'delete' if name else 'deletecollection'}
        verb = verbs.get(req.method)
        if verb is None or (verb in ('update', 'patch') and not name):
            raise ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {})
        return verb

    def _call(self, verb, req, res, ns, name, sub):
        """(status code, Entry or document) of a request on one object."""
        api, dry = self.api, req.params.get('dryRun') == 'All'
        if sub == 'scale':
            return self._scale(verb, req, res, ns, name)
        if verb == 'get':
            return 200, api.get(res, ns, name)
        kind = req.headers.get('content-type', 'application/json').split(';')[0].strip()
        if verb == 'create':
            body = req.json()
            if name is None:
                return 201, api.create(res, ns, body, req.manager, dry)
            if sub == 'binding':
                return 201, api.bind(ns, name, body, req.manager)
            if sub == 'eviction':
                return 201, api.evict(ns, name, body)
            raise ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {})
        if verb == 'update':
            return 200, api.update(res, ns, name, req.json(), sub, req.manager, dry)
        if verb == 'patch':
            if kind not in patches.TYPES + ('application/apply-patch+yaml',):
                raise ApiError(415, 'UnsupportedMediaType', 'the body of the request was in an unknown format - accepted media types include: '
                               + ', '.join(patches.TYPES + ('application/apply-patch+yaml',)), {})
            return 200, api.patch(res, ns, name, kind, req.json(), sub, req.manager, dry)
        entry, gone = (api.get(res, ns, name), True) if dry else api.delete(res, ns, name, self._options(req))
        if res.storage == 'pods' or not gone or res.storage == 'namespaces':
            return 200, entry
        return 200, dict(STATUS_OK, details={'name': name, 'group': res.group, 'kind': res.plural, 'uid': entry.uid})

    def _scale(self, verb, req, res, ns, name):
        current = self.api.scale_of(self.api.get(res, ns, name))
        if verb == 'get':
            return 200, current
        if verb == 'patch':
            kind = req.headers.get('content-type', '').split(';')[0].strip()
            wanted = patches.apply(kind, current, req.json())
        else:
            wanted = req.json()
        return 200, self.api.set_scale(res, ns, name, wanted, req.manager)

    @staticmethod
    def _options(req):
        options = req.json() if req.body.strip() else {}
        if not isinstance(options, dict):
            raise bad_request('expected DeleteOptions')
        if 'gracePeriodSeconds' in req.params:
            options['gracePeriodSeconds'] = int(req.params['gracePeriodSeconds'])
        if 'propagationPolicy' in req.params:
            options['propagationPolicy'] = req.params['propagationPolicy']
        return options

    async def _delete_all(self, conn, req, res, ns):
        rv, found, _, _ = self.api.list(res, ns, req.params)
        options = self._options(req)
        for e in list(found):
            self.api.delete(res, e.ns, e.name, options)
        await self.reply(conn, 200, STATUS_OK)

    async def _list(self, conn, req, res, ns):
        rv, found, token, remaining = self.api.list(res, ns, req.params)
        meta = {'resourceVersion': str(rv)}
        if token:
            meta['continue'] = token
        if remaining is not None:
            meta['remainingItemCount'] = remaining
        if table.wanted(req.headers.get('accept', '')):
            doc = table.of_list(res, found, str(rv), req.params.get('includeObject'))
            doc['metadata'].update(meta)
            return await self.reply(conn, 200, doc)
        head = dumps({'kind': res.kind + 'List', 'apiVersion': res.api_version, 'metadata': meta})[:-1].encode() + b',"items":['
        body, pending, size = await self.chunked(conn), [head], len(head)
        for i, e in enumerate(found):
            raw = item_bytes(e, res)
            if i:
                pending.append(b',')
            pending.append(raw)
            size += len(raw)
            if size > PIECE:
                await body.write(b''.join(pending))
                pending, size = [], 0
        await body.write(b''.join(pending) + b']}\n')
        await body.end()
