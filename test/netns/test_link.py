"""What the link is and what it is not: addresses that die one by one, slow, broken, unwilling and strange API servers, proxies.

The rule behind all of them: a node whose way to the API server works in any manner is not made worse by us.
"""
import os
import signal
import subprocess
import time

from apiclient import KUBESIM
from net_stage import TEST, Skip, stage, wait_for
from process import PYTHON, Process

SERVICE_IP, SERVICE_PORT = '10.96.0.1', 443


def status(n):
    return n.http('/v1/status') or {'link': {'state': 'no answer', 'ways': []}, 'gate': {}, 'mirror': {}}


def link(n):
    return status(n)['link']


def used(n):
    return next((w for w in link(n)['ways'] if w['used']), None)


def way(n, address):
    return next((w for w in link(n)['ways'] if w['address'] == address), None)


def readyz(n):
    """Its text with ?verbose, whatever the status."""
    c = n.connection()
    try:
        c.request('GET', '/readyz?verbose')
        r = c.getresponse()
        return r.status, r.read().decode()
    finally:
        c.close()


def states(n, seconds):
    """The states that its link is seen in, for so long."""
    seen, end = set(), time.monotonic() + seconds
    while time.monotonic() < end:
        seen.add(link(n)['state'])
        time.sleep(0.1)
    return seen


def events(n, *names):
    return [h for h in n.history() if h['event'] in names]


def node_is_ready(c, n):
    conditions = c.api.get('/api/v1/nodes/' + n.name)['status']['conditions']
    return any(x['type'] == 'Ready' and x['status'] == 'True' for x in conditions)


def fault(c, **rule):
    code, body = c.api.call('POST', '/kubesim/faults', rule)
    assert code == 200, body


def no_faults(c):
    assert c.api.call('DELETE', '/kubesim/faults')[0] == 200


def by_service(c, n):
    """Its healer goes by the Service's address, as in a pod; its kubelet does not."""
    n.write_healer_kubeconfig(c.add_api_address(SERVICE_IP, SERVICE_PORT))
    n.restart_healer()
    c.wait_whole()
    wait_for(lambda: used(n)['from'] == 'own server' and used(n)['state'] == 'answers', 10, 'its own server is in use')


# ---- one address is not the API server ----

@stage(nodes=1, config={'kube.offline_after': '3s'})
def test_the_service_ip_is_dead_and_kubelets_own_way_works(c):
    c.run_web(replicas=2)
    n = c.nodes[0]
    by_service(c, n)
    c.lose_address(n, SERVICE_IP)
    seen = states(n, 12)
    assert 'offline' not in seen, seen
    wait_for(lambda: link(n)['state'] == 'online' and used(n)['from'] != 'own server', 5, 'requests go another way')
    assert status(n)['mirror']['inSync'] and not events(n, 'gate closed', 'link offline'), n.history()
    assert node_is_ready(c, n)
    c.lose_address(n, SERVICE_IP, lost=False)
    wait_for(lambda: used(n)['from'] == 'own server', 90, 'and back again')
    assert link(n)['state'] == 'online' and not events(n, 'link offline')


@stage(nodes=1)
def test_one_of_three_api_servers_is_dead(c):
    n = c.nodes[0]
    first, second = (c.add_api_address('10.77.0.%d' % i) for i in (3, 4))
    for i, at in enumerate((first, second)):
        ip, port = at.split(':')
        c.api.call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
            'metadata': {'name': 'more-%d' % i, 'labels': {'kubernetes.io/service-name': 'kubernetes'}}, 'addressType': 'IPv4',
            'endpoints': [{'addresses': [ip]}], 'ports': [{'port': int(port), 'protocol': 'TCP'}]})
    n.write_healer_kubeconfig(first)
    n.restart_healer()
    c.wait_whole()
    wait_for(lambda: way(n, second), 10, 'the EndpointSlices are known')
    c.lose_address(n, '10.77.0.3')
    assert 'offline' not in states(n, 10)
    wait_for(lambda: link(n)['state'] == 'online' and used(n)['address'] != first, 5, 'another API server is used')
    c.lose_address(n, '10.77.0.2')           # kubelet's
    c.lose_address(n, '10.77.0.4')
    wait_for(lambda: link(n)['state'] == 'offline', 15, 'offline when all three are gone')


@stage(nodes=1, config={'kube.offline_after': '3s'})
def test_its_own_server_never_answers_and_then_nobody_does(c):
    n = c.nodes[0]
    n.write_healer_kubeconfig('10.77.0.77:6443')
    n.restart_healer()
    c.wait_whole()
    assert used(n)['from'] == "kubelet's server", link(n)
    c.cut_uplink()
    began = time.monotonic()
    wait_for(lambda: link(n)['state'] == 'offline', 20, 'offline')
    assert time.monotonic() - began < 11, time.monotonic() - began
    c.mend_uplink()
    wait_for(lambda: link(n)['state'] == 'online' and status(n)['mirror']['inSync'], 20, 'online')


@stage(nodes=1, v6=True)
def test_over_ipv6_another_address_is_used(c):
    n = c.nodes[0]
    own = c.add_api_address('fd77::3')
    n.write_healer_kubeconfig(own)
    n.restart_healer()
    c.wait_whole()
    c.lose_address(n, 'fd77::3')
    assert 'offline' not in states(n, 10)
    wait_for(lambda: link(n)['state'] == 'online' and used(n)['address'] != own, 5, 'another address is used')
    c.cut_uplink()
    wait_for(lambda: link(n)['state'] == 'offline', 15, 'offline')
    c.mend_uplink()
    wait_for(lambda: link(n)['state'] == 'online', 20, 'online')


@stage(nodes=1)
def test_a_virtual_ip_moves(c):
    """keepalived moves it to another server: connections to the old one are gone, the address answers again a moment later."""
    n, vip = c.nodes[0], '10.77.0.9'
    at = c.add_api_address(vip)
    n.write_healer_kubeconfig(at)
    n.restart_healer()
    c.wait_whole()
    for _ in range(2):
        c.network.remove_address('api', vip)
        c.more[-1].kill()
        time.sleep(2)
        c.add_api_address(vip)
        assert 'offline' not in states(n, 8)
    assert link(n)['state'] == 'online' and status(n)['mirror']['inSync']


# ---- slow is not dead ----

@stage(nodes=3, config={'kube.offline_after': '3s'})
def test_an_api_server_that_takes_its_time_is_online(c):
    c.run_web(replicas=6)
    fault(c, match={'client': 'edge-healer'}, action='delay', delayMs=1300)
    seen = set().union(*(states(n, 8) for n in c.nodes))
    assert 'offline' not in seen, seen
    victim = c.busiest()
    lost = c.lose(victim)
    wait_for(lambda: not set(lost) & c.all_pods(), 40, 'the lost pods are deleted from the API')
    c.wait_ready('web', 6, seconds=60)
    for n in c.living():
        assert not events(n, 'link offline', 'gate closed', 'manifest written'), n.history()
    assert not [r for r in c.runs() if r['orig']], 'copies were started though the API server answers'


@stage(nodes=1, config={'kube.offline_after': '3s'})
def test_an_uplink_that_is_slow_is_online(c):
    """Two seconds each way: TCP, TLS and an answer take longer than any probe's interval."""
    n = c.nodes[0]
    slow = subprocess.run(['ip', 'netns', 'exec', c.network.router, 'tc', 'qdisc', 'add', 'dev', n.port, 'root', 'netem', 'delay', '1000ms'],
                          capture_output=True, text=True)
    if slow.returncode:
        raise Skip('no netem here: ' + slow.stderr.strip())
    seen = states(n, 25)
    assert 'offline' not in seen, seen
    assert link(n)['state'] == 'online' and not events(n, 'link offline')


# ---- another server, other credentials ----

@stage(nodes=1)
def test_a_kubeconfig_rewritten_in_place_names_another_server(c):
    n = c.nodes[0]
    first = c.add_api_address('10.77.0.3')
    n.write_healer_kubeconfig(first)
    n.restart_healer()
    c.wait_whole()
    c.network.remove_address('api', '10.77.0.3')
    c.more[-1].kill()
    second = c.add_api_address('10.77.0.4')
    n.write_healer_kubeconfig(second)
    wait_for(lambda: link(n)['server'].endswith(second) and used(n)['from'] == 'own server', 20, 'the new server is used')
    wait_for(lambda: link(n)['state'] == 'online' and status(n)['mirror']['inSync'], 10, 'online')
    third = c.add_api_address('10.77.0.5')
    n.write_healer_kubeconfig(third)         # the old one is well: at the latest when the file is due, or at once on SIGHUP
    n.parts['healer'].p.send_signal(signal.SIGHUP)
    wait_for(lambda: link(n)['server'].endswith(third), 5, 'SIGHUP reads it')
    assert link(n)['state'] == 'online'


# ---- it answers, and is of no use ----

@stage(nodes=3, config={'kube.hung_after': '5s'})
def test_etcd_is_dead_and_a_node_dies(c):
    c.run_web(replicas=6)
    c.wait_mirrored(c.all_pods())
    fault(c, match={'client': 'edge-healer'}, action='status', status=500)
    for n in c.nodes:
        wait_for(lambda n=n: link(n)['state'] == 'failing', 60, 'failing')
    assert all('[~]link' in readyz(n)[1] for n in c.nodes), readyz(c.nodes[0])
    victim = c.busiest()
    lost = c.lose(victim)
    c.wait_copies(lost, 60)                  # nobody else heals: reads and writes fail for all
    for n in c.living():
        assert not events(n, 'gate closed'), 'kubelets can reach it: the gate stays open'
        assert n.metric('edge_healer_link_state{state="failing"}') == 1
    no_faults(c)
    time.sleep(20)                           # one good answer proves little
    assert {link(n)['state'] for n in c.living()} == {'failing'}
    assert c.copies(), 'the handover waits'
    c.wait_link('online', 40)
    c.wait_handover('web', 6)
    victim.power_on()                        # what the control plane has deleted there meanwhile goes with its kubelet
    c.settle(6)
    c.assert_crowd(lost, at_most=2)


@stage(nodes=1)
def test_credentials_that_are_not_accepted_are_loud(c):
    c.run_web(replicas=2)
    n = c.nodes[0]
    fault(c, match={'client': 'edge-healer'}, action='status', status=403)
    wait_for(lambda: link(n)['state'] == 'denied', 160, 'denied')
    code, text = readyz(n)
    assert code == 503 and '[-]link failed' in text, text
    assert n.metric('edge_healer_link_state{state="denied"}') == 1
    assert events(n, 'link denied') and ' error kube: credentials are not accepted' in n.parts['healer'].text()
    no_faults(c)
    wait_for(lambda: link(n)['state'] == 'online' and status(n)['mirror']['inSync'], 50, 'accepted again')
    wait_for(lambda: readyz(n)[0] == 200, 10, 'ready')
    path = '/api/v1/namespaces/default/events'
    wait_for(lambda: any(e.get('reason') == 'LinkDenied' for e in c.api.get(path)['items']), 20, 'an Event tells when it can')


@stage(nodes=1)
def test_one_watch_that_does_not_run_is_told(c):
    """429 with Retry-After: 3600 for the pods alone: an hour without a mirror behind a green /readyz."""
    n = c.nodes[0]
    fault(c, match={'client': 'edge-healer', 'path': '^/api/v1/pods'}, action='status', status=429, retryAfter=3600, times=2)
    n.restart_healer()
    wait_for(lambda: link(n)['state'] == 'online', 20, 'online')
    wait_for(lambda: readyz(n)[0] == 503 and 'the watch of Pods is not confirmed' in readyz(n)[1], 45, 'not ready')
    assert not status(n)['mirror']['inSync'] and status(n)['mirror']['watchAgeMs']['pods'] == -1
    assert n.metric('edge_healer_watch_age_seconds{kind="pod"}') == -1
    wait_for(lambda: status(n)['mirror']['inSync'], 60, 'it is tried again within the cap')
    assert readyz(n)[0] == 200


@stage(nodes=1)
def test_a_stream_that_hangs_is_not_fresh(c):
    """Half open: nothing comes, nothing is closed."""
    n = c.nodes[0]
    fault(c, match={'client': 'edge-healer', 'path': '^/api/v1/nodes.*watch=1'}, action='blackhole')
    wait_for(lambda: not status(n)['mirror']['inSync'], 100, 'stale')
    assert link(n)['state'] == 'online' and 'the watch of Nodes' in readyz(n)[1]
    assert events(n, 'mirror stale')
    no_faults(c)
    wait_for(lambda: status(n)['mirror']['inSync'], 90, 'fresh again')


# ---- somebody else answers ----

def proxy_here(c, n, port=6444):
    """A proxy on the machine itself, as k3s and RKE2 have it: it accepts whatever becomes of the uplink."""
    at = '127.0.0.1:%d' % port
    p = Process('local proxy', n.wrap([PYTHON, os.path.join(KUBESIM, 'proxy.py'), '--listen', at, '--to', '10.77.0.2:6443']),
                n.path('local-proxy.log'), stdin=subprocess.PIPE)
    p.line('proxy: listening on ')
    c.more.append(p)
    return at


@stage(nodes=1, config={'kube.offline_after': '3s'})
def test_a_proxy_on_the_machine_accepts_while_the_uplink_is_black(c):
    n = c.nodes[0]
    n.write_healer_kubeconfig(proxy_here(c, n))
    n.restart_healer()
    c.wait_whole()
    c.cut_uplink()
    began = time.monotonic()
    wait_for(lambda: link(n)['state'] == 'offline', 20, 'offline')
    took = time.monotonic() - began
    print('offline %.1f s after the cut' % took)
    assert took < 11, took                   # 3 s of quiet, 3 s for an answer, 3 s of offline_after, and what polling takes
    c.mend_uplink()
    wait_for(lambda: link(n)['state'] == 'online', 20, 'online')


@stage(nodes=1, tls=True)
def test_a_captive_portal_is_not_the_api_server(c):
    """The router answers every TLS handshake itself, with its own certificate: nothing is sent to it, and it is offline."""
    n = c.nodes[0]
    wait_for(lambda: used(n)['state'] == 'answers', 10, 'the API server is known by its certificate')
    c.stop_api()
    portal = Process('portal', ['ip', 'netns', 'exec', c.api_space, PYTHON, os.path.join(TEST, 'netns', 'portal.py'), '10.77.0.2', '6443',
                                os.path.join(c.dir, 'certs', 'portal')], os.path.join(c.dir, 'portal.log'))
    c.more.append(portal)
    portal.line('listening')
    wait_for(lambda: link(n)['state'] == 'offline', 20, 'offline')
    assert 'certificate' in used(n)['reason'] or 'issuer' in used(n)['reason'], used(n)
    assert 'request' not in portal.text(), portal.text()
    portal.kill()
    c.start_api()
    wait_for(lambda: link(n)['state'] == 'online' and status(n)['mirror']['inSync'], 30, 'online')
