#!/usr/bin/python3
"""What strangers do to a healer's HTTP, as a process of its own: bounded in count, and it ends with its stdin.

  ask N     N clients that ask for all pages of PATH in a loop
  idle N    N connections that say nothing; those that are closed stay closed
  slow N    N connections that send a byte of a request each second
  mute N    N clients that ask for PATH and never read

`--from A.B.` spreads the clients over the addresses A.B.0.1 to A.B.250.250 (of 127.0.0.0/8, or of this machine). Prints `ready` when
all of them are there, and what was answered at the end.
"""
import argparse
import collections
import http.client
import json
import resource
import selectors
import socket
import sys
import threading

COUNT_MAX, SECONDS_MAX = 12000, 300


def connect(o, i):
    source = ('%s%d.%d' % (o.source, i // 250, 1 + i % 250), 0) if o.source else None
    return socket.create_connection((o.host, o.port), timeout=5, source_address=source)


def hold(o, first=b''):
    """N connections that sent `first`, non-blocking."""
    held = []
    for i in range(o.count):
        try:
            s = connect(o, i)
            if first:
                s.sendall(first)
            held.append(s)
        except OSError:
            continue                     # refused, or closed at once: as it should be
    return held


def slow(o, end):
    request, at = b'GET %s HTTP/1.1\r\nHost: x\r\nX-Slow: %s' % (o.path.encode(), b'x' * 1000), 0
    held = hold(o)
    print('ready', flush=True)
    while not end.wait(1):
        for i, s in enumerate(held):
            try:
                s.send(request[at:at + 1])
            except OSError:              # cut: comes again, as such clients do
                try:
                    held[i] = connect(o, i)
                except OSError:
                    pass
        at += 1


def ask_all_pages(c, o, told):
    token = ''
    while True:
        c.request('GET', o.path + ('?continue=' + token if token else ''))
        r = c.getresponse()
        text = r.read()
        told[r.status] += 1
        if r.status != 200:
            return
        token = json.loads(text).get('metadata', {}).get('continue', '') if o.path != '/livez' else ''
        if not token:
            return


def ask(o, end):
    told = collections.Counter()

    def client(i):
        while not end.is_set():
            try:
                c = http.client.HTTPConnection(o.host, o.port, timeout=5,
                                               source_address=('%s0.%d' % (o.source, 1 + i % 250), 0) if o.source else None)
                while not end.is_set():
                    ask_all_pages(c, o, told)
            except (OSError, http.client.HTTPException, ValueError):
                told['cut'] += 1
    threads = [threading.Thread(target=client, args=(i,), daemon=True) for i in range(o.count)]
    for t in threads:
        t.start()
    print('ready', flush=True)
    end.wait()
    for t in threads:
        t.join(6)
    print(json.dumps({str(k): v for k, v in told.items()}), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('kind', choices=('ask', 'idle', 'slow', 'mute'))
    p.add_argument('count', type=int)
    p.add_argument('--to', required=True, metavar='HOST:PORT')
    p.add_argument('--path', default='/v1/pods')
    p.add_argument('--from', dest='source', default='', metavar='A.B.')
    o = p.parse_args()
    o.host, _, port = o.to.rpartition(':')
    o.host, o.port, o.count = o.host.strip('[]'), int(port), min(o.count, COUNT_MAX)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
    end = threading.Event()

    def watch():
        """Until stdin ends."""
        s = selectors.DefaultSelector()
        s.register(sys.stdin, selectors.EVENT_READ)
        s.select(SECONDS_MAX)
        end.set()
    threading.Thread(target=watch, daemon=True).start()
    if o.kind == 'ask':
        ask(o, end)
    elif o.kind == 'slow':
        slow(o, end)
    else:
        request = b'GET %s HTTP/1.1\r\nHost: x\r\n\r\n' % o.path.encode() if o.kind == 'mute' else b''
        held = hold(o, request)
        print('ready', flush=True)
        end.wait()
        del held


if __name__ == '__main__':
    main()
