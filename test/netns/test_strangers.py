"""What comes over HTTP from elsewhere: who may ask what, and that no flood stops healing."""
import http.client
import os
import socket
import threading

from net_stage import stage, wait_for
from netns import Connection
from pauses import longest_between, pauses


def ask(c, frm, to, path, token=None, host=None):
    """(status, text) of the healer of node `to`, asked from node `frm`."""
    con = Connection(frm.namespace, host or to.ip, 8000, 3)
    try:
        con.request('GET', path, headers={'Authorization': 'Bearer ' + token} if token else {})
        r = con.getresponse()
        return r.status, r.read().decode()
    finally:
        con.close()


def ask_socket(n, path):
    con = http.client.HTTPConnection('localhost', timeout=3)
    con.sock = socket.socket(socket.AF_UNIX)
    con.sock.connect(n.path('healer.sock'))
    con.request('GET', path)
    return con.getresponse().status


def restart(c, n, **http_keys):
    n.parts['healer'].kill(15)
    assert not os.path.exists(n.path('healer.sock')), 'it unlinks its socket'
    c.config.update({'http.' + k: v for k, v in http_keys.items()})
    n.start_healer()
    wait_for(lambda: n.ask('/livez')[0] == 200, 10, 'it is back')


@stage(nodes=2)
def test_who_may_ask(c):
    one, two = c.nodes
    for path in ('/livez', '/readyz', '/metrics', '/'):
        assert ask(c, two, one, path)[0] == 200, path
    for path in ('status', 'pods', 'members', 'claims', 'history', 'readiness'):
        status, text = ask(c, two, one, '/v1/' + path)
        assert status == 403 and 'http.token_file is not set' in text, (path, status, text)
        assert ask(c, one, one, '/v1/' + path)[0] == 403, 'its own address is no loopback'
        assert ask(c, one, one, '/v1/' + path, host='127.0.0.1')[0] == 200
        assert ask_socket(one, '/v1/' + path) == 200
    assert os.stat(one.path('healer.sock')).st_mode & 0o777 == 0o600

    with open(os.path.join(c.dir, 'token'), 'w') as f:
        f.write('s3cret\n')
    restart(c, one, token_file=os.path.join(c.dir, 'token'))
    for token in (None, 'wrong', 's3cre', 's3crets', ''):
        status, text = ask(c, two, one, '/v1/status', token)
        assert status == 401 and 'http.token_file' in text, (token, status, text)
    assert ask(c, two, one, '/v1/status', 's3cret')[0] == 200
    assert ask(c, one, one, '/v1/status', host='127.0.0.1')[0] == 200, 'http.loopback: open'

    restart(c, one, loopback='token')
    assert ask(c, one, one, '/v1/status', host='127.0.0.1')[0] == 401
    assert ask(c, one, one, '/v1/status', 's3cret', host='127.0.0.1')[0] == 200
    assert ask_socket(one, '/v1/status') == 200 and ask(c, one, one, '/livez', host='127.0.0.1')[0] == 200

    restart(c, one, token_file='')
    status, text = ask(c, one, one, '/v1/status', host='127.0.0.1')
    assert status == 403 and 'http.loopback' in text, text
    assert ask_socket(one, '/v1/status') == 200

    one.parts['healer'].kill(9)
    assert os.path.exists(one.path('healer.sock')), 'as kill -9 leaves it'
    one.start_healer()
    wait_for(lambda: one.ask('/livez')[0] == 200, 10, 'a stale socket is no obstacle')
    assert ask_socket(one, '/v1/status') == 200


@stage(nodes=3)
def test_a_node_dies_while_all_of_http_is_flooded(c):
    """Every place is taken, large answers are asked for and not read: healing goes on, health is answered, and memory is bounded."""
    c.run_web(replicas=6)
    n = c.nodes[0]
    idle = [n.flood('idle', 2000, '--from', '127.7.'), c.nodes[1].flood('idle', 500, to='%s:8000' % n.ip),
            n.flood('slow', 64, '--from', '127.8.'), n.flood('mute', 64, '--from', '127.9.')]
    askers = n.flood('ask', 30)
    before = pauses(n)
    c.offline()
    victim = c.nodes[2]
    lost = c.lose(victim)
    worst, done = [0], threading.Event()

    def look():
        while not done.wait(0.05):
            worst[0] += n.ask('/livez')[0] != 200
    looker = threading.Thread(target=look)
    looker.start()
    where = c.wait_copies(lost)
    done.set()
    looker.join()
    assert set(where) == set(lost) and worst[0] == 0, (where, worst)
    longest = longest_between(before, pauses(n))
    assert longest <= 0.05, 'a callback of the loop took %g s of CPU time' % longest
    askers.end()
    told = askers.text().splitlines()[-1]
    assert '"200"' in told and '"429"' not in told, 'six pods are no large answer: ' + told
    assert n.metric('edge_healer_http_cut_total') > 2000
    for p in idle:
        p.end(60)
    wait_for(lambda: n.http('/v1/status'), 5, 'it answers as before')


def flooded_by_gossip(c, kind, sender):
    """5,000 messages a second reach one healer, by its own agent's mouth, while a node dies: what the others say is heard all the same."""
    c.run_web(replicas=8)
    n, victim = c.nodes[0], c.nodes[3]
    p = n.flood_gossip(kind, 5000, sender)
    wait_for(lambda: (n.http('/v1/status') or {'mirror': {}})['mirror'].get('inSync'), 30, 'in sync again')
    p.say('on')
    before = pauses(n)
    c.offline()
    lost = c.lose(victim)
    where = c.wait_copies(lost)
    longest = longest_between(before, pauses(n))
    wait_for(lambda: set(lost) <= {x['uid'] for x in n.http('/v1/claims') or []}, 15, 'the flooded one has heard who runs them: %s' % where)
    assert longest <= 0.05, 'a callback of the loop took %g s of CPU time' % longest
    p.say('off')
    assert int(p.line('sent ')) >= 20000, 'the flood was there: ' + p.text()
    wait_for(lambda: n.http('/v1/status'), 5, 'it answers as before')


@stage(nodes=4)
def test_a_node_dies_while_gossip_is_flooded_by_strangers(c):
    flooded_by_gossip(c, 'strangers', 'nobody')


@stage(nodes=4)
def test_a_node_dies_while_gossip_is_flooded_in_a_members_name(c):
    flooded_by_gossip(c, 'member', c.nodes[1].name)
