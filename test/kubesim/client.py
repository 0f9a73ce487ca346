"""A Kubernetes client on asyncio: kubeconfig, TLS, one keep-alive connection per use, and list+watch with reconnects."""
import asyncio
import base64
import json
import os
import random
import socket
import ssl
import tempfile
import time
import urllib.parse

import yaml_lite
from waiting import within


class ConfigError(ValueError):
    pass


class HttpError(Exception):
    """The server answered, but with a failure."""

    def __init__(self, code, doc):
        super().__init__('%d %s' % (code, (doc or {}).get('message', '')))
        self.code, self.doc = code, doc or {}
        self.reason = self.doc.get('reason', '')


class Unreachable(Exception):
    """No answer: refused, reset, timed out, or nonsense instead of HTTP."""


def _named(rows, name, field):
    for r in rows or []:
        if r.get('name') == name:
            return r.get(field) or {}
    raise ConfigError('no %s named %r in the kubeconfig' % (field, name))


class Config:
    """What a kubeconfig's current context says."""

    def __init__(self, path):
        with open(path, encoding='utf-8') as f:
            doc = yaml_lite.load(f.read())
        if not isinstance(doc, dict) or not doc.get('current-context'):
            raise ConfigError('%s: no current-context' % path)
        context = _named(doc.get('contexts'), doc['current-context'], 'context')
        self.folder = os.path.dirname(os.path.abspath(path))
        self.cluster = _named(doc.get('clusters'), context.get('cluster'), 'cluster')
        self.user = _named(doc.get('users'), context['user'], 'user') if context.get('user') else {}
        url = urllib.parse.urlsplit(self.cluster['server'])
        self.tls, self.host = url.scheme == 'https', url.hostname
        self.port, self.prefix = url.port or (443 if self.tls else 80), url.path.rstrip('/')
        self.server_name = self.cluster.get('tls-server-name') or self.host
        if 'exec' in self.user or 'auth-provider' in self.user:
            raise ConfigError('exec and auth-provider users are not supported')

    def _bytes(self, section, key):
        if section.get(key + '-data'):
            return base64.b64decode(section[key + '-data'])
        if section.get(key):
            with open(os.path.join(self.folder, section[key]), 'rb') as f:
                return f.read()
        return None

    def token(self):
        """Read again each time: tokens in files are rewritten when they expire."""
        if self.user.get('tokenFile'):
            with open(os.path.join(self.folder, self.user['tokenFile'])) as f:
                return f.read().strip()
        return self.user.get('token')

    def ssl_context(self):
        if not self.tls:
            return None
        ca = self._bytes(self.cluster, 'certificate-authority')
        ctx = ssl.create_default_context(cadata=ca.decode() if ca else None)
        if self.cluster.get('insecure-skip-tls-verify'):
            ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
        cert, key = self._bytes(self.user, 'client-certificate'), self._bytes(self.user, 'client-key')
        if cert and key:                           # the ssl module reads keys from files only
            with tempfile.NamedTemporaryFile() as f:
                os.chmod(f.name, 0o600)
                f.write(cert + b'\n' + key)
                f.flush()
                ctx.load_cert_chain(f.name)
        return ctx


class Connection:
    """One keep-alive HTTP/1.1 connection; one request at a time."""

    def __init__(self, config, agent, source=None):
        self.config, self.agent, self.source = config, agent, source
        self.ctx, self.lock = config.ssl_context(), asyncio.Lock()
        self.reader = self.writer = None

    async def _open(self):
        local = (self.source, 0) if self.source else None
        self.reader, self.writer = await asyncio.open_connection(
            self.config.host, self.config.port, ssl=self.ctx, server_hostname=self.config.server_name if self.ctx else None, local_addr=local,
            limit=1 << 24)
        self.writer.get_extra_info('socket').setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None

    async def _send(self, method, path, body, content_type):
        data = b'' if body is None else json.dumps(body, separators=(',', ':')).encode()
        head = ['%s %s HTTP/1.1' % (method, self.config.prefix + path), 'Host: %s:%d' % (self.config.host, self.config.port),
                'User-Agent: ' + self.agent, 'Accept: application/json']
        token = self.config.token()
        if token:
            head.append('Authorization: Bearer ' + token)
        if body is not None:
            head += ['Content-Type: ' + content_type]
        head += ['Content-Length: %d' % len(data), '', '']
        self.writer.write('\r\n'.join(head).encode() + data)
        await self.writer.drain()

    async def _head(self):
        lines = (await self.reader.readuntil(b'\r\n\r\n')).decode('latin-1').split('\r\n')
        code = int(lines[0].split(' ')[1])
        headers = {}
        for line in lines[1:]:
            k, _, v = line.partition(':')
            headers[k.strip().lower()] = v.strip()
        return code, headers

    async def _chunks(self, headers):
        if 'chunked' in headers.get('transfer-encoding', ''):
            while True:
                size = int((await self.reader.readline()).split(b';')[0], 16)
                data = await self.reader.readexactly(size)
                await self.reader.readexactly(2)
                if not size:
                    return
                yield data
        elif headers.get('content-length', '0') != '0':
            yield await self.reader.readexactly(int(headers['content-length']))

    def _forget_dead(self):
        """A connection that ended while nobody used it is none: the next request opens a new one."""
        if self.writer is not None and (self.reader.at_eof() or self.reader.exception() or self.writer.transport.is_closing()):
            self.close()

    async def _exchange(self, method, path, body, content_type, again):
        async with self.lock:
            self._forget_dead()
            fresh = self.writer is None
            try:
                if fresh:
                    await self._open()
                try:
                    await self._send(method, path, body, content_type)
                    code, headers = await self._head()
                except (ConnectionError, asyncio.IncompleteReadError):
                    if fresh or not again:
                        raise
                    self.close()                   # the idle connection was gone: once more on a new one
                    await self._open()
                    await self._send(method, path, body, content_type)
                    code, headers = await self._head()
                data = b''.join([c async for c in self._chunks(headers)])
                if headers.get('connection', '').lower() == 'close':
                    self.close()
                return code, data
            except BaseException:
                self.close()                       # half an answer must not be read as the next one
                raise

    async def call(self, method, path, body=None, content_type='application/json', timeout=10.0, again=True):
        """The decoded answer; HttpError for a failure, Unreachable when there is none.

        again: a request whose kept connection breaks is sent once more on a new one.
        """
        try:
            code, data = await within(self._exchange(method, path, body, content_type, again), timeout)
            doc = json.loads(data) if data[:1] in (b'{', b'[') else {}
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, asyncio.LimitOverrunError, ValueError) as e:
            raise Unreachable('%s %s: %s' % (method, path, e or type(e).__name__)) from None
        if code >= 400:
            raise HttpError(code, doc)
        return doc

    async def stream(self, path, silence):
        """The lines of a watch as objects. Ends with Unreachable if nothing at all comes for `silence` seconds."""
        async with self.lock:
            try:
                self.close()
                await within(self._open(), silence)
                await self._send('GET', path, None, '')
                code, headers = await within(self._head(), silence)
                chunks = self._chunks(headers)
                if code >= 400:
                    data = b''.join([c async for c in chunks])
                    raise HttpError(code, json.loads(data) if data[:1] == b'{' else {})
                rest = b''
                while True:
                    try:
                        rest += await within(chunks.__anext__(), silence)
                    except StopAsyncIteration:
                        return
                    *lines, rest = rest.split(b'\n')
                    for line in lines:
                        if line.strip():
                            yield json.loads(line)
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError) as e:
                raise Unreachable('watch %s: %s' % (path, e or type(e).__name__)) from None
            finally:
                self.close()


class Backoff:
    """As client-go's reflector waits between two attempts: 800 ms, doubled up to 30 s, plus up to as much again at random; from the
    beginning when it has not waited for 2 minutes (k8s.io/client-go/tools/cache, NewExponentialBackoffManager). scale divides them;
    note(seconds) is told of each."""

    def __init__(self, scale=1.0, note=lambda seconds: None):
        self.note = note
        self.first, self.most, self.quiet = 0.8 / scale, 30.0 / scale, 120.0 / scale
        self.pause, self.last = self.first, None

    async def wait(self):
        now = time.monotonic()
        if self.last is not None and now - self.last > self.quiet:
            self.pause = self.first
        self.last = now
        pause, self.pause = self.pause, min(self.pause * 2, self.most)
        pause *= random.uniform(1.0, 2.0)
        self.note(pause)
        await asyncio.sleep(pause)


async def reflect(conn, path, selector, on_list, on_event, on_down, backoff, silence=90.0):
    """List, then watch, for ever: on_list(items) replaces the view, on_event(type, object) changes it, on_down(reason) says why it stopped."""
    query, rv = '&' + selector if selector else '', None
    while True:
        try:
            if rv is None:
                doc = await conn.call('GET', '%s?resourceVersion=0%s' % (path, query), timeout=30)
                rv = doc['metadata']['resourceVersion']
                on_list(doc.get('items') or [])
            url = '%s?watch=true&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%d%s' % (path, rv, random.randrange(300, 600), query)
            async for ev in conn.stream(url, silence):
                if ev['type'] == 'ERROR':
                    rv = None
                    break
                rv = ev['object']['metadata']['resourceVersion']
                if ev['type'] != 'BOOKMARK':
                    on_event(ev['type'], ev['object'])
        except HttpError as e:
            if e.code == 410:
                rv = None
            on_down(str(e))
            await backoff.wait()
        except Unreachable as e:
            on_down(str(e))
            await backoff.wait()
