"""What a kubelet does with its API server, and what becomes of it: one JSON line with `result` and `ms`.

With --connect only the connect. Otherwise connect ("connected"), wait for a line on stdin, send a request ("asked"), wait for
the answer. With --storm connects are made one after the other for so long and counted by what became of them.
"""
import argparse
import json
import socket
import sys
import time

SO_MARK = 36


def name(error):
    if isinstance(error, (socket.timeout, TimeoutError)):
        return 'timeout'
    return {ConnectionRefusedError: 'refused', ConnectionAbortedError: 'aborted', ConnectionResetError: 'reset'}.get(type(error), str(error))


def attempt(o, then=None):
    s = socket.socket(socket.AF_INET6 if ':' in o.ip else socket.AF_INET)
    s.settimeout(o.timeout)
    if o.mark:
        s.setsockopt(socket.SOL_SOCKET, SO_MARK, o.mark)
    began = time.monotonic()
    try:
        s.connect((o.ip, o.port))
        result = then(s) if then else 'connected'
    except OSError as e:
        result = name(e)
    finally:
        s.close()
    return {'result': result, 'ms': (time.monotonic() - began) * 1000}


def ask(s):
    print('connected', flush=True)
    sys.stdin.readline()
    s.sendall(b'GET /healthz HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n')
    print('asked', flush=True)
    return 'answered' if s.recv(1) else 'closed'


def storm(o):
    counts, end = {'refused': 0, 'other': 0}, time.monotonic() + o.storm
    while time.monotonic() < end:
        counts['refused' if attempt(o)['result'] == 'refused' else 'other'] += 1
        time.sleep(0.001)
    return counts


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('ip')
    p.add_argument('port', type=int)
    p.add_argument('--timeout', type=float, default=30)
    p.add_argument('--mark', type=int, default=0)
    p.add_argument('--connect', action='store_true')
    p.add_argument('--storm', type=float, default=0)
    o = p.parse_args()
    print(json.dumps(storm(o) if o.storm else attempt(o, None if o.connect else ask)), flush=True)


if __name__ == '__main__':
    main()
