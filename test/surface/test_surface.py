"""What the daemon shows over HTTP, from a real one: metrics that promtool accepts, health, /v1, and an index that is true."""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

TEST = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TEST, 'rig'))
from cluster import Cluster, Process, wait_for  # noqa: E402

BINARY = os.environ.get('EDGE_HEALER_BIN', os.path.join(os.path.dirname(TEST), 'build/release/edge-healer'))


def fetch(node, path, method='GET', headers=None, body=None):
    rq = urllib.request.Request(node.url(path), data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(rq, timeout=5) as r:
            return r.status, r.headers, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read().decode()


def test_promtool_accepts_the_metrics(node):
    code, headers, text = fetch(node, '/metrics')
    assert code == 200 and headers['Content-Type'].startswith('text/plain; version=0.0.4'), headers
    p = subprocess.run(['promtool', 'check', 'metrics'], input=text, capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr
    for name in ('restore_latency_seconds_bucket', 'bind_conflicts_total', 'peer_updates_total', 'edge_healer_link_state{state="online"} 1',
                 'edge_healer_mirror_objects{kind="node"} 1', 'process_resident_memory_bytes', 'edge_healer_build_info'):
        assert name in text, name


def test_openmetrics_by_accept(node):
    _, headers, text = fetch(node, '/metrics', headers={'Accept': 'application/openmetrics-text; version=1.0.0'})
    assert headers['Content-Type'].startswith('application/openmetrics-text'), headers
    assert text.endswith('# EOF\n') and '# TYPE bind_conflicts counter' in text


def test_health_and_its_aliases(node):
    for path in ('/livez', '/healthz', '/health', '/readyz', '/ready'):
        code, _, text = fetch(node, path)
        assert code == 200 and text.strip().endswith('ok'), (path, code, text)
    for path in ('/livez', '/healthz'):
        assert fetch(node, path)[1]['Edge-Healer-Node'] == node.name, 'it says who it is: peers ask'
    assert 'Edge-Healer-Node' not in fetch(node, '/metrics')[1]
    code, _, text = fetch(node, '/readyz?verbose')
    assert code == 200 and '[+]serf ok' in text and '[+]store ok' in text, text


def test_not_ready_without_serf_but_alive(node):
    node.parts['serf'].kill()
    try:
        code, _, text = wait_for(lambda: (lambda r: r if r[0] == 503 else None)(fetch(node, '/readyz')), 10, 'not ready')
        assert '[-]serf failed' in text, text
        assert fetch(node, '/livez')[0] == 200
    finally:
        node.start_serf()
    wait_for(lambda: fetch(node, '/readyz')[0] == 200, 20, 'ready again')


def test_v1_answers_json(node):
    for path in ('status', 'members', 'pods', 'claims', 'history', 'readiness'):
        code, headers, text = fetch(node, '/v1/' + path)
        answer = json.loads(text)
        assert code == 200 and headers['Content-Type'] == 'application/json' and isinstance(answer, dict), path
        assert path == 'status' or isinstance(answer['items'], list) and answer['metadata'] == {}, (path, answer)
    assert fetch(node, '/v1/history?limit=x')[0] == 400
    assert json.loads(fetch(node, '/v1/status')[2])['link']['state'] == 'online'


def test_the_index_is_true(node):
    _, _, text = fetch(node, '/')
    rows = [line.split(None, 2) for line in text.splitlines()[2:] if line.strip()]
    assert len(rows) >= 12
    for method, path, _ in rows:
        wanted = 403 if path in ('/v1/forget', '/v1/goodbye') else 200       # through the socket only
        assert fetch(node, path, method, body=b'' if method == 'POST' else None)[0] == wanted, path


def test_posts_from_elsewhere_need_a_token(node):
    assert fetch(node, '/v1/serf-event', 'POST', body=b'{}')[0] == 200     # 127/8 is loopback
    assert fetch(node, '/v1/status', 'POST', body=b'{}')[0] == 405


def test_slow_and_broken_requests_do_not_stall_it(node):
    slow = [socket.create_connection((node.ip, 8000), source_address=('127.0.0.1', 0)) for _ in range(20)]
    for i, s in enumerate(slow):
        s.sendall((b'GET /metr', b'\x00\xff\x80', b'POST /v1/serf-event HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n', b'X' * 5000)[i % 4])
    assert fetch(node, '/livez')[0] == 200
    for s in slow:
        s.close()
    assert fetch(node, '/livez')[0] == 200


def test_after_a_flood_it_listens_again(node):
    """64 idle connections of two addresses that all time out in one round: libmicrohttpd once took its listener out of epoll for good."""
    pid = node.parts['healer'].p.pid
    os.kill(pid, signal.SIGSTOP)
    idle = [socket.create_connection((node.ip, 8000), source_address=('127.0.0.%d' % (1 + i % 2), 0)) for i in range(64)]
    os.kill(pid, signal.SIGCONT)
    time.sleep(5)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(10)                   # longer than WEB_TIMEOUT_S: all of them are due when it goes on
    os.kill(pid, signal.SIGCONT)
    time.sleep(5)
    for s in idle:
        s.close()
    assert fetch(node, '/livez')[0] == 200


def pages(node, path, limit):
    """All items of the list in pages of that size, each of which is full but the last."""
    got, token = [], ''
    while True:
        page = json.loads(fetch(node, '%s?limit=%d%s' % (path, limit, '&continue=' + token if token else ''))[2])
        got += page['items']
        token = page['metadata'].get('continue')
        assert len(page['items']) == limit if token else 1 <= len(page['items']) <= limit, page
        if not token:
            return got


def test_pages_of_a_real_healer(node):
    c = node.cluster
    c.deploy('web', 7)
    uids = sorted(p['metadata']['uid'] for p in c.wait_ready('web', 7))
    wait_for(lambda: len(node.http('/v1/pods')) == 7, 5, 'they are mirrored')
    for limit in (1, 3, 7, 1000):
        assert [p['uid'] for p in pages(node, '/v1/pods', limit)] == uids, limit
    first = json.loads(fetch(node, '/v1/pods?limit=3')[2])
    assert first['metadata']['remainingItemCount'] == 4, first
    gone = first['items'][-1]                 # the last one of the page: what is behind it is the same
    c.api.call('DELETE', '/api/v1/namespaces/default/pods/%s?gracePeriodSeconds=0' % gone['pod'])
    wait_for(lambda: gone['uid'] not in {p['uid'] for p in node.http('/v1/pods')}, 5, 'it is gone')
    rest = json.loads(fetch(node, '/v1/pods?continue=' + first['metadata']['continue'])[2])['items']
    assert set(uids[3:]) <= {p['uid'] for p in rest} and not set(uids[:3]) & {p['uid'] for p in rest}
    for mode, state in (('refuse', 'offline'), ('pass', 'online')):
        node.uplink(mode)
        wait_for(lambda: node.http('/v1/status')['link']['state'] == state, 20, state)
    history = pages(node, '/v1/history', 1)
    assert len(history) >= 2 and history == pages(node, '/v1/history', 1000), history
    assert [r['id'] for r in history] == sorted((r['id'] for r in history), reverse=True), 'the newest first'


def test_what_is_no_page_is_said(node):
    bad = ('limit=0', 'limit=1001', 'limit=x', 'limit=', 'limit=-1', 'continue=x', 'continue=706f', 'continue=' + 'ab' * 400,
           'continue=' + b'other:abc'.hex())
    for path in ('pods', 'members', 'claims', 'readiness', 'history'):
        for query in bad:
            code, _, text = fetch(node, '/v1/%s?%s' % (path, query))
            assert code == 400 and json.loads(text)['error'].startswith(query.split('=')[0] + ': '), (path, query, text)
        assert fetch(node, '/v1/%s?continue=' % path)[0] == 200
    assert fetch(node, '/v1/history?continue=' + b'history:x'.hex())[0] == 400


def second_healer(node, sock):
    with open(node.path('edge-healer.yaml')) as f:
        config = json.load(f)
    config['store']['path'] = node.path('data', 'second.db')
    config['http'] = {'listen': '%s:8001' % node.ip, 'socket': sock}
    with open(node.path('second.yaml'), 'w') as f:
        json.dump(config, f)
    return Process('second', [BINARY, 'agent', '--config', node.path('second.yaml')], node.path('second-%d.log' % len(os.listdir(node.dir))))


def test_another_healer_behind_the_socket_is_an_error(node):
    p = second_healer(node, node.path('healer.sock'))
    assert p.p.wait(20) != 0
    assert 'another process lives behind it' in p.text(), p.text()
    own = http.client.HTTPConnection('localhost', timeout=5)
    own.sock = socket.socket(socket.AF_UNIX)
    own.sock.connect(node.path('healer.sock'))
    own.request('GET', '/v1/status')
    assert own.getresponse().status == 200, 'it is still there for the first one'


def test_no_socket_is_no_reason_not_to_heal(node):
    p = second_healer(node, '/proc/no/healer.sock')
    try:
        p.line('started')
        assert 'the client verbs use http.listen' in p.text(), p.text()
    finally:
        p.kill()


def main():
    passed = failed = 0
    with Cluster(BINARY, 1) as c:
        c.start()
        for name, test in sorted(globals().items()):
            if not name.startswith('test_'):
                continue
            try:
                test(c.nodes[0])
                passed += 1
            except Exception as e:     # each test is told, none hides another
                failed += 1
                print('FAIL %s: %s: %s' % (name, type(e).__name__, e))
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
