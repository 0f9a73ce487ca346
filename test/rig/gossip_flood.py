#!/usr/bin/python3
"""A serf agent that tells its healer more than any real one would: it stands before a real agent and adds messages of its own.

  gossip_flood.py KIND RATE --listen HOST:PORT --to HOST:PORT --node NAME

What the healer and the agent say passes unchanged; between two records of the agent's stream come RATE invented ones a second:

  member      claims of pods that nobody knows, and questions of each sort, all in NAME's name
  strangers   these and words of links, each in another name that nobody has

It floods from the line `on` of its stdin to the line `off`, and ends with it. Prints `ready`, and at `off` how many it `sent`.
"""
import argparse
import itertools
import os
import selectors
import socket
import struct
import sys
import threading
import time

SLICE_S = 0.02                           # so often a slice of them is sent
RATE_MAX = 20000


# ---- msgpack, as much of it as serf's RPC has ----

def pack(x):
    if isinstance(x, bool):
        return b'\xc3' if x else b'\xc2'
    if isinstance(x, int):
        return b'\xce' + struct.pack('>I', x)
    if isinstance(x, (bytes, str)):
        data = x.encode() if isinstance(x, str) else x
        return b'\xda' + struct.pack('>H', len(data)) + data     # raw 16: serf's codec knows no str and bin
    return b'\xde' + struct.pack('>H', len(x)) + b''.join(pack(k) + pack(v) for k, v in x.items())


def unpack(data, at=0):
    """(value, where it ends); IndexError when it is cut."""
    def take(n):
        if at + 1 + n > len(data):
            raise IndexError
        return int.from_bytes(data[at + 1:at + 1 + n], 'big'), at + 1 + n

    def many(n, begin, pairs):
        out = []
        for _ in range(n * (2 if pairs else 1)):
            v, begin = unpack(data, begin)
            out.append(v)
        return (dict(zip([k.decode() if isinstance(k, bytes) else k for k in out[::2]], out[1::2])) if pairs else out), begin

    def raw(n, begin):
        if begin + n > len(data):
            raise IndexError
        return data[begin:begin + n], begin + n
    b = data[at]
    if b < 0x80 or b >= 0xe0:
        return b, at + 1
    if b < 0xa0:
        return many(b & 15, at + 1, b < 0x90)
    if b < 0xc0:
        return raw(b & 31, at + 1)
    if b in (0xc0, 0xc2, 0xc3):
        return b == 0xc3, at + 1
    if b in (0xca, 0xcb) or 0xcc <= b <= 0xd3:
        return take({0xca: 4, 0xcb: 8, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8}[b])
    n, begin = take({0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xdc: 2, 0xdd: 4, 0xde: 2, 0xdf: 4}[b])
    return raw(n, begin) if b < 0xdc else many(n, begin, b >= 0xde)


class Values:
    """Whole values of a stream of bytes, each with its own bytes."""

    def __init__(self):
        self.data = b''

    def feed(self, data):
        self.data += data
        while self.data:
            try:
                value, end = unpack(self.data)
            except IndexError:
                return
            yield value, self.data[:end]
            self.data = self.data[end:]


# ---- what is invented ----

def short(text):
    return bytes([len(text)]) + text.encode()


def claim(node, i):
    return (b'EH\x01\x01' + short(node) + struct.pack('>QQIBBB', 1 << 62 | int(time.time() * 1000), int(time.time()), 1, 0, 0, 20) +
            b''.join(struct.pack('>Q', i * 20 + k) for k in range(20)))


def user(name, payload):
    return {'Event': 'user', 'LTime': 1, 'Name': name, 'Payload': payload, 'Coalesce': False}


def question(i, sender):
    fence = short('e6f6ef69-ec9e-42e6-b2e4-f052ccb00001') + short(sender) + short(sender) + struct.pack('>Q', 1)
    sorts = (('eh-witness', sender.encode()), ('eh-mine', sender.encode()), ('eh-fence', b'EH\x01\x04' + fence),
             ('eh-grant', b'EH\x01\x07' + struct.pack('>I', 20000) + short(sender)), ('eh-runs', b'EH\x01\x03' + struct.pack('>QBQ', 1, 1, i)))
    name, payload = sorts[i // 6 % len(sorts)]
    return {'Event': 'query', 'ID': i, 'LTime': 1, 'Name': name, 'Payload': payload}


def messages(kind, node):
    """Without end."""
    for i in itertools.count(1):
        sender = node if kind == 'member' else 'stranger-%d' % i
        sort = i % (2 if kind == 'member' else 3)
        if sort == 0:
            yield user('eh-claim', claim(sender, i))
        elif sort == 1:
            yield question(i, sender)
        else:
            yield user('eh-link', b'EH\x01\x06\x02' + short(sender))


class Pair:
    """One connection of the healer, and ours to the agent. Whoever writes to the healer holds the lock."""

    def __init__(self, healer, o, on):
        self.healer, self.on, self.o = healer, on, o
        host, port = o.to.rsplit(':', 1)
        self.agent, self.lock, self.stream, self.begun = socket.create_connection((host, int(port))), threading.Lock(), None, False
        for run in (self.up, self.down, self.flood):
            threading.Thread(target=run, daemon=True).start()

    def up(self):
        values, seen = Values(), {}
        while data := self.recv(self.healer):
            self.agent.sendall(data)
            for v, _ in values.feed(data):
                if isinstance(v, dict) and 'Command' in v:
                    seen = v
                elif isinstance(v, dict) and seen.get('Command') == b'stream':
                    self.stream = seen['Seq']
        self.close()

    def down(self):
        """Nothing of ours may come between a header of the stream and its body; the header of its beginning has none."""
        values, held = Values(), b''
        while data := self.recv(self.agent):
            out = []
            for v, raw in values.feed(data):
                header = isinstance(v, dict) and set(v) == {'Seq', 'Error'} and v['Seq'] == self.stream
                if header and self.begun:
                    held = raw
                    continue
                out.append(held + raw)
                held, self.begun = b'', self.begun or header
            self.send(b''.join(out))
        self.close()

    def flood(self):
        made, sent = messages(self.o.kind, self.o.node), 0
        began = None
        while self.healer.fileno() >= 0:
            time.sleep(SLICE_S)
            if not self.on.is_set() or not self.begun:
                began, sent = None, 0
                continue
            began = began or time.monotonic()
            due = min(int((time.monotonic() - began) * self.o.rate) - sent, self.o.rate)
            self.send(b''.join(pack({'Seq': self.stream, 'Error': ''}) + pack(m) for m in itertools.islice(made, max(due, 0))))
            sent += max(due, 0)
            self.o.sent += max(due, 0)

    @staticmethod
    def recv(s):
        try:
            return s.recv(65536)
        except OSError:
            return b''

    def send(self, data):
        try:
            with self.lock:
                self.healer.sendall(data)
        except OSError:
            self.close()

    def close(self):
        for s in (self.healer, self.agent):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('kind', choices=('member', 'strangers'))
    p.add_argument('rate', type=int)
    p.add_argument('--listen', required=True)
    p.add_argument('--to', required=True)
    p.add_argument('--node', required=True)
    o = p.parse_args()
    o.rate, o.sent = min(o.rate, RATE_MAX), 0
    on, host, port = threading.Event(), *o.listen.rsplit(':', 1)
    server = socket.create_server((host, int(port)))

    def serve():
        while True:
            Pair(server.accept()[0], o, on)
    threading.Thread(target=serve, daemon=True).start()
    print('ready', flush=True)
    s = selectors.DefaultSelector()
    s.register(sys.stdin, selectors.EVENT_READ)
    while s.select():
        text = os.read(0, 100)
        if not text:
            return
        (on.set if b'on' in text else on.clear)()
        print('flooding' if on.is_set() else 'sent %d' % o.sent, flush=True)


if __name__ == '__main__':
    main()
