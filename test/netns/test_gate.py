"""The gate against a real black hole: when it is closed, for what, and that it never outlives its reason.

A node of its own with a kubelet that hangs as a real one does. A pod of it vanishes while the uplink swallows packets; its healer
starts it again, and for that the gate closes. A kubelet that is stopped (SIGSTOP) keeps it closed for as long as a test needs.
"""
import json
import os
import signal
import subprocess
import time

from net_stage import TEST, Skip, stage, wait_for
from netns import API_PORT
from process import PYTHON

FAST_MS = 100                     # a refused connect; 0.1 ms seen
HANG_S = 6                        # of the simulated kubelet; a real one hangs 30 s and more
EXPIRY_S, START_S, BUDGET_S = 10, 20, 60   # of the gate's elements in the kernel; at most for a start; in any five minutes
TABLE, MARK = 'table inet edge_healer', 0x2065
MOST_S, SCALE = 30, 4             # of client-go's pauses; what the simulated kubelets divide them by
API, OTHER = '10.77.0.2', '10.77.0.77'
SITE = {'nodes': 1, 'kubelet_args': ('--hang-seconds', str(HANG_S)), 'config': {
    'heal.local_grace': '0s', 'heal.start_timeout': '60s', 'kube.offline_after': '1s'}}


def site(**more):
    return stage(**dict(SITE, config=dict(SITE['config'], **more.pop('config', {})), **more))


def gate(n):
    return n.http('/v1/status')['gate']


def ruleset(n):
    return subprocess.run(n.wrap(['nft', 'list', 'ruleset']), capture_output=True, text=True, check=True).stdout


def connect(n, ip, timeout=4.0, port=API_PORT, mark=0):
    """(what became of a connect, after how many ms)"""
    out = subprocess.run(n.wrap([PYTHON, os.path.join(TEST, 'netns', 'kubelet_call.py'), ip, str(port), '--connect', '--timeout', str(timeout),
                                 '--mark', str(mark)]), capture_output=True, text=True, check=True).stdout
    got = json.loads(out)
    return got['result'], got['ms']


def history(n, *names):
    return [h for h in n.history() if h['event'] in names]


def kubelet(n, signo):
    n.parts['kubelet'].p.send_signal(signo)


def vanish(c, n, stopped=True):
    """One of its pods is gone, and (stopped) kubelet does not get to start it again."""
    pod = next(p for p in c.own_pods('web') if p['metadata']['uid'] not in n.vanished)
    n.vanished.append(pod['metadata']['uid'])
    n.vanish(pod)
    if stopped:
        kubelet(n, signal.SIGSTOP)
    return pod


def black(c, replicas=4):
    """Online with pods, then the uplink swallows packets."""
    n = c.nodes[0]
    n.vanished = []
    c.run_web(replicas=replicas)
    c.offline('blackhole')
    wait_for(lambda: gate(n)['addresses'] or gate(n)['state'] in ('off', 'unable', 'observing'), 10, 'its addresses are seen to be silent')
    return n


def closed(c, n):
    """black(), and it is closed for a start that does not come to an end."""
    vanish(c, n)
    wait_for(lambda: gate(n)['state'] == 'closed', 10, 'closed')


@site()
def test_it_is_open_until_something_starts_and_open_again_when_it_runs(c):
    n = black(c)
    assert gate(n)['state'] == 'open' and TABLE not in ruleset(n) and gate(n)['hangMs'] > 56000
    assert connect(n, API, 1)[0] == 'timeout', 'the black hole, not our reset'
    began = time.time()
    pod = vanish(c, n, stopped=False)
    wait_for(lambda: c.copy_runs(pod['metadata']['uid']), HANG_S * 3, 'its copy runs')
    run = c.copy_runs(pod['metadata']['uid'])[0]
    assert run['start'] - began < 5, 'kubelet has hung for %.1f s' % (run['start'] - began)
    wait_for(lambda: gate(n)['state'] == 'open' and TABLE not in ruleset(n), 3, 'it is open again')
    assert [h['event'] for h in history(n, 'gate closed', 'gate opened')] == ['gate closed', 'gate opened']
    assert c.nodes[0].http('/v1/status')['link']['state'] == 'offline', 'the outage goes on'
    assert '\nedge_healer_gate_errors_total 0\n' in n.http('/metrics')


@site(config={'kubelet.gate': 'off'})
def test_without_the_gate_a_kubelet_hangs(c):
    n = black(c)
    began = time.time()
    pod = vanish(c, n, stopped=False)
    wait_for(lambda: c.copy_runs(pod['metadata']['uid']), HANG_S * 4, 'its copy runs at last')
    run = c.copy_runs(pod['metadata']['uid'])[0]
    assert run['start'] - began > HANG_S - 2, 'kubelet has not hung'
    assert TABLE not in ruleset(n) and gate(n)['state'] == 'off'


@site()
def test_closed_everything_fails_fast_and_only_that(c):
    n = black(c)
    calls = [n._start('call%d' % i, [PYTHON, os.path.join(TEST, 'netns', 'kubelet_call.py'), API, str(API_PORT), '--connect',
                                     '--timeout', '30']) for i in range(2)]
    wait_for(lambda: len(subprocess.run(n.wrap(['ss', '-Htn', 'state', 'syn-sent', 'dst', API]), capture_output=True, text=True)
                         .stdout.splitlines()) >= 2, 5, 'two connects hang')
    closed(c, n)
    for p in calls:                          # the connections that hung have an end
        line = wait_for(lambda p=p: next((t for t in p.text().splitlines() if t.startswith('{')), None), 2, 'the call ends')
        assert json.loads(line)['result'] in ('aborted', 'refused'), line
    assert gate(n)['hangMs'] == 0
    result, ms = connect(n, API)
    assert result == 'refused' and ms < FAST_MS, (result, ms)
    assert connect(n, OTHER, 1)[0] == 'timeout', 'another address is not ours to reject'
    assert connect(n, API, 1, port=443)[0] == 'timeout', 'another port is not ours to reject'
    assert connect(n, API, 1, mark=MARK)[0] == 'timeout', 'our own probes go out'
    assert '\nedge_healer_gate_closed 1\n' in n.http('/metrics')


@site()
def test_it_opens_when_a_start_takes_too_long(c):
    n = black(c)
    closed(c, n)
    began = time.monotonic()
    wait_for(lambda: gate(n)['state'] == 'open', START_S + 3, 'open')
    took = time.monotonic() - began
    assert START_S - 3 < took < START_S + 2, took
    assert 'too long' in history(n, 'gate opened')[-1]['detail'] and gate(n)['hangMs'] > 56000


@site()
def test_it_is_closed_for_a_minute_of_five_at_most(c):
    n = black(c, replicas=5)
    began = time.monotonic()
    for i in range(3):
        kubelet(n, signal.SIGCONT)
        vanish(c, n, stopped=i > 0)          # its control socket needs it awake
        kubelet(n, signal.SIGSTOP)
        wait_for(lambda i=i: len(history(n, 'manifest written')) > i, 15, 'the next one starts')
        wait_for(lambda: gate(n)['state'] == 'open', START_S + 5, 'open')
    while len(history(n, 'gate closed')) > 2 and time.monotonic() - began < 90:
        kubelet(n, signal.SIGCONT)
        rest = [p for p in c.own_pods('web') if p['metadata']['uid'] not in n.vanished]
        if not rest:
            break
        vanish(c, n)
        time.sleep(START_S + 2)
    rows = history(n, 'gate closed', 'gate opened')
    times = [time.mktime(time.strptime(r['at'][:19], '%Y-%m-%dT%H:%M:%S')) + float(r['at'][19:23]) for r in rows]
    total = sum(b - a for a, b in zip(times[::2], times[1::2]))
    print('closed for %.1f s in %d spells' % (total, len(rows) // 2))
    assert total < BUDGET_S + 1, total


@site()
def test_it_stays_closed_without_a_gap_and_mends_itself(c):
    n = black(c)
    closed(c, n)
    out = json.loads(subprocess.run(n.wrap([PYTHON, os.path.join(TEST, 'netns', 'kubelet_call.py'), API, str(API_PORT), '--storm',
                                            str(EXPIRY_S + 2)]), capture_output=True, text=True, check=True).stdout)
    assert out['refused'] > 100 and out['other'] == 0, out
    subprocess.run(n.wrap(['nft', 'flush', 'ruleset']), check=True)      # a firewall is reloaded
    wait_for(lambda: connect(n, API, 0.5)[0] == 'refused', 5, 'closed again')


@site()
def test_it_opens_the_moment_a_probe_succeeds(c):
    n = black(c)
    closed(c, n)
    c.mend_uplink()
    wait_for(lambda: connect(n, API, 0.5)[0] == 'connected', 6, 'open')
    assert TABLE not in ruleset(n)
    kubelet(n, signal.SIGCONT)
    wait_for(lambda: n.http('/v1/status')['link']['state'] == 'online', 10, 'online')
    events = [h['event'] for h in n.history()]
    assert events.index('gate opened') < events.index('link online'), events


@site()
def test_killed_it_opens_by_itself(c):
    n = black(c)
    closed(c, n)
    n.parts['healer'].kill(signal.SIGKILL)
    assert connect(n, API)[0] == 'refused'
    wait_for(lambda: 'elements' not in ruleset(n), EXPIRY_S + 1, 'the elements expire')
    assert connect(n, API, 1)[0] == 'timeout', 'the black hole is back, not our reset'
    c.mend_uplink()
    assert connect(n, API)[0] == 'connected'
    assert TABLE in ruleset(n)
    kubelet(n, signal.SIGCONT)
    n.start_healer()
    wait_for(lambda: (n.http('/v1/status') or {'link': {'state': ''}})['link']['state'] == 'online', 15, 'online')
    assert TABLE not in ruleset(n), 'the next start removes the empty table'


@site()
def test_an_orderly_stop_opens_it_and_a_start_that_goes_on_closes_it_again(c):
    n = black(c)
    closed(c, n)
    n.parts['healer'].kill(signal.SIGTERM)
    assert TABLE not in ruleset(n)
    n.start_healer()
    wait_for(lambda: (n.http('/v1/status') or {'gate': {'state': ''}})['gate']['state'] == 'closed', 20, 'it knows the addresses, and what starts')


@site(config={'mode': 'observe'})
def test_observe_closes_nothing(c):
    n = black(c)
    vanish(c, n)
    wait_for(lambda: any('close the gate' in h['detail'] for h in history(n, 'would act')), 15, 'it tells')
    assert TABLE not in ruleset(n) and gate(n)['state'] == 'observing'
    assert connect(n, API, 1)[0] == 'timeout'


@site()
def test_what_fails_at_once_is_not_closed(c):
    """A refused connection does not make kubelet hang: there is nothing to help with."""
    n = c.nodes[0]
    n.vanished = []
    c.run_web(replicas=4)
    c.offline('refuse')
    assert gate(n)['addresses'] == [] and gate(n)['hangMs'] == 0
    pod = vanish(c, n, stopped=False)
    wait_for(lambda: c.copy_runs(pod['metadata']['uid']), 15, 'its copy runs')
    assert not history(n, 'gate closed')


@site()
def test_a_reload_applies(c):
    n = black(c)
    closed(c, n)
    c.config = dict(c.config, **{'kubelet.gate': 'off'})
    n.write_config()
    wait_for(lambda: TABLE not in ruleset(n), 5, 'off opens')


@site()
def test_a_proxy_on_this_machine_is_not_cut_off(c):
    """As on k3s: kubelet and we go through a port of loopback. Only that is closed, or the proxy could never reach the server."""
    n = c.nodes[0]
    n.vanished = []
    at = '127.0.0.1:6444'
    p = n._start('local-proxy', [PYTHON, os.path.join(TEST, 'kubesim', 'proxy.py'), '--listen', at, '--to', '%s:%d' % (API, API_PORT)],
                 stdin=subprocess.PIPE)
    p.line('proxy: listening on ')
    n.write_healer_kubeconfig(at)
    c.config = dict(c.config, **{'kubelet.kubeconfig': n.healer_kubeconfig})
    n.restart_healer()
    c.wait_whole()
    c.run_web(replicas=2)
    c.offline('blackhole')
    wait_for(lambda: gate(n)['addresses'] == [at], 10, 'only loopback would be closed')
    closed(c, n)
    assert connect(n, '127.0.0.1', port=6444)[0] == 'refused'
    assert connect(n, API, 1)[0] == 'timeout'
    c.mend_uplink()
    wait_for(lambda: connect(n, '127.0.0.1', 0.5, port=6444)[0] == 'connected', 10, 'it opens: the probe got through the proxy')


@site()
def test_without_rights_it_says_so(c):
    n = c.nodes[0]
    n.parts['healer'].kill(signal.SIGTERM)
    wrap, n.wrap = n.wrap, lambda argv: wrap((['setpriv', '--bounding-set=-net_admin,-net_raw', '--inh-caps=-all'] if 'agent' in argv else []) + argv)
    n.start_healer()
    c.wait_whole()
    assert gate(n)['state'] == 'unable' and 'CAP_NET_ADMIN' in gate(n)['note']
    assert '[~]gate ok: CAP_NET_ADMIN' in n.http('/readyz?verbose')
    black(c, replicas=2)
    assert n.parts['healer'].text().count('CAP_NET_ADMIN') == 1, 'said once'
    assert gate(n)['hangMs'] > 56000
    assert '\nedge_healer_gate_errors_total 2\n' in n.http('/metrics'), 'at the start and for this outage'


@stage(nodes=3, kubelet_args=('--backoff-scale', str(SCALE), '--hang-seconds', '8'), config={'kube.offline_after': '3s'})
def test_kubelets_come_back_as_soon_as_without_us(c):
    """Closed for the whole outage the gate made their client back off for longer than the outage: 18 to 56 s (here a quarter of it)."""
    c.run_web(replicas=6)
    c.offline('blackhole')
    lost = c.lose(c.busiest())
    c.wait_copies(lost, 30)
    time.sleep(25)                           # a back-off of refused calls would have grown to the most by now
    pauses = {n.name: [e['seconds'] for e in n.journal() if e['event'] == 'backoff'] for n in c.living()}
    print('kubelets have paused for %s s' % pauses)
    assert max(max(p, default=0) for p in pauses.values()) < MOST_S / SCALE / 2, pauses
    for n in c.living():
        rows = history(n, 'gate closed', 'gate opened')
        assert len(rows) % 2 == 0 and gate(n)['state'] == 'open', rows
    c.mend_uplink()
    mended, names = time.time(), {}
    for n in c.living():
        names[n.name] = 'probe-' + n.name
        c.create('Pod', 'pods', names[n.name], spec={'nodeName': n.name, 'containers': [{'name': 'c', 'image': 'localhost/busybox:1'}]})

    def started():
        ran = {r['name']: r['start'] for r in c.runs() if r['name'] in names.values()}
        return ran if len(ran) == len(names) else None
    after = {name: at - mended for name, at in wait_for(started, 30, 'a pod bound to each node runs').items()}
    # most of it is the kernel's: a connect that hangs sends its next SYN twice as late as the one before
    print('pods bound to the nodes run after %s s' % sorted('%.1f' % s for s in after.values()))
