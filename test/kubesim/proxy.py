#!/usr/bin/env python3
"""A plain TCP proxy that can be cut: how tests take the API server away from some of its clients. TLS passes through untouched.

Modes, switched by a line on stdin (or on --control, a Unix socket), each answered with "ok MODE":
  pass       bytes flow
  refuse     the listener is closed and every connection reset, as by a host that is up with nothing listening
  blackhole  connections are accepted, no byte flows either way and nothing is closed, as by a cut uplink; `pass` lets them flow on
"""
import argparse
import asyncio
import signal
import socket
import struct
import sys

MODES = ('pass', 'refuse', 'blackhole')


class Proxy:
    def __init__(self, listen, to):
        self.host, port = listen.rsplit(':', 1)
        self.port = int(port)
        to_host, to_port = to.rsplit(':', 1)
        self.host, self.to_host = self.host.strip('[]'), to_host.strip('[]')
        self.to_port = int(to_port)
        self.mode, self.server, self.writers = 'pass', None, set()
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def listen(self):
        if self.server is None:
            self.server = await asyncio.start_server(self._serve, self.host, self.port, backlog=1024, reuse_address=True)
            self.port = self.server.sockets[0].getsockname()[1]

    async def set_mode(self, mode):
        if mode == 'refuse':
            if self.server is not None:
                self.server.close()
                self.server = None
            for w in list(self.writers):
                _reset(w)
        else:
            await self.listen()
        if mode == 'blackhole':
            self.flowing.clear()
        else:
            self.flowing.set()
        self.mode = mode

    async def _serve(self, reader, writer):
        self.writers.add(writer)
        back = None
        try:
            await self.flowing.wait()
            if self.mode == 'refuse':
                return
            far, back = await asyncio.open_connection(self.to_host, self.to_port)
            self.writers.add(back)
            await asyncio.gather(self._pump(reader, back), self._pump(far, writer))
        except OSError:
            _reset(writer)
        finally:
            for w in (writer, back):
                if w is not None:
                    self.writers.discard(w)
                    w.close()

    async def _pump(self, reader, writer):
        while True:
            data = await reader.read(1 << 16)
            await self.flowing.wait()
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()


def _reset(writer):
    try:
        writer.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    except (OSError, AttributeError):
        pass
    writer.transport.abort()


async def commands(proxy, reader, say):
    """Obeys lines until the end of the stream."""
    while True:
        line = await reader.readline()
        if not line:
            return
        mode = line.decode('ascii', 'replace').strip()
        if mode in MODES:
            await proxy.set_mode(mode)
            say('ok ' + mode)
        elif mode:
            say('error: the modes are ' + ', '.join(MODES))


async def main(argv):
    p = argparse.ArgumentParser(description='A TCP proxy that can be cut.')
    p.add_argument('--listen', default='127.0.0.1:0', metavar='HOST:PORT')
    p.add_argument('--to', required=True, metavar='HOST:PORT')
    p.add_argument('--mode', choices=MODES, default='pass', help='the first mode')
    p.add_argument('--control', metavar='PATH', help='a Unix socket that takes the same lines as stdin')
    o = p.parse_args(argv)
    proxy = Proxy(o.listen, o.to)
    try:
        await proxy.listen()
    except OSError as e:
        print('proxy: %s' % e, file=sys.stderr)
        return 1
    print('proxy: listening on %s:%d' % (proxy.host, proxy.port), flush=True)
    await proxy.set_mode(o.mode)
    loop = asyncio.get_running_loop()
    if o.control:
        async def serve(reader, writer):
            await commands(proxy, reader, lambda text: writer.write(text.encode() + b'\n'))
            writer.close()
        await asyncio.start_unix_server(serve, o.control)
    stop = asyncio.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sig, stop.set)
    stdin = asyncio.StreamReader()
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
        asyncio.ensure_future(commands(proxy, stdin, lambda text: print(text, flush=True)))
    except (ValueError, OSError):                  # stdin is a file or closed: the Unix socket remains
        pass
    await stop.wait()
    return 0


if __name__ == '__main__':
    sys.exit(asyncio.run(main(sys.argv[1:])))
