"""Clocks that step, a healer that was stopped, an API server that answers with errors: seen, told, and nothing is done because of it."""
import signal
import time

import shim
from stage import check_healthy, stage, wait_for
from test_faults import AT_MOST_ONCE, leases

OBSERVING = 10                                # seconds after a step (TILT_MS)


def tilts(n):
    return len([h for h in n.history() if h['event'] == 'tilt'])


@stage(shimmed=True)
def test_a_clock_that_steps_an_hour_back_and_forth_causes_nothing(c):
    c.run_web(replicas=6)
    before = c.done()
    for shift in (-3600, 0, 3600):
        seen = {n: tilts(n) for n in c.nodes}
        for n in c.nodes:
            shim.shift_clock(n, shift)
        wait_for(lambda seen=seen: all(tilts(n) > seen[n] for n in c.nodes), 30, 'the step is told by all')
    c.nothing_happens(1, before)
    c.offline()
    seen = {n: tilts(n) for n in c.nodes}
    for n in c.nodes:
        shim.shift_clock(n, -3600)
    wait_for(lambda: all(tilts(n) > seen[n] for n in c.nodes), 30, 'the step is told by all')
    stepped = time.time()
    lost = c.lose(c.nodes[2])                 # while they only observe
    c.wait_copies(lost)
    first = min(r['start'] for r in c.runs() if r['orig'])
    assert first - stepped > OBSERVING - 2, 'restored %.1f s after the step' % (first - stepped)
    c.mend()
    c.wait_handover()
    c.assert_never_crowded(lost)


@stage(shimmed=True, config={'heal.stop_after': '6s'})
def test_a_stepped_clock_ends_no_lease(c):
    c.run_web('single', 3, annotations=AT_MOST_ONCE)
    leases(c)
    for shift in (3600, -3600):
        for n in c.nodes:
            shim.shift_clock(n, shift)
        wait_for(lambda: all(tilts(n) for n in c.nodes), 30, 'the step is told')
        end = time.monotonic() + 7            # longer than a lease
        while time.monotonic() < end:
            assert not c.rows('pod stopped') and all(n.http('/v1/status')['lease']['held'] for n in c.nodes)
            time.sleep(0.2)


@stage(config={'heal.stop_after': '6s'})
def test_a_healer_that_was_stopped_freezes_at_once_and_acts_on_nothing_old(c):
    """SIGSTOP for longer than its lease, while a node dies: the others restore; it wakes up and finds that all is done."""
    c.run_web('web', 6)
    c.run_web('single', 4, annotations=AT_MOST_ONCE)
    leases(c)
    sleeper, other, victim = c.nodes
    mine = c.pods_on(sleeper, 'single')
    assert mine
    c.offline()
    in_sync_pods = c.pods_on(victim)
    sleeper.parts['healer'].p.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    sleeper.parts['serf'].kill()              # nobody grants it anything when it wakes up
    lost = in_sync_pods
    wait_for(lambda: time.monotonic() - stopped > 8, 20, 'its lease to be over')
    sleeper.parts['healer'].p.send_signal(signal.SIGCONT)
    woke = time.time()
    wait_for(lambda: len([r for r in sleeper.runs() if r['uid'] in mine and not r['end']]) == 0, 5, 'its pods to be frozen')
    late = max(r['end'] for r in sleeper.runs() if r['uid'] in mine) - woke
    assert late < 2, 'frozen %.1f s after it woke up' % late
    assert lost and not [r for r in c.runs() if r['orig']], 'nothing was lost'


@stage(nodes=5)                               # three who can bear witness without it
def test_a_healer_that_was_stopped_while_others_restored_restores_nothing_twice(c):
    c.run_web(replicas=10)
    c.offline()
    sleeper, victim = c.nodes[0], c.nodes[4]
    lost = c.lose(victim)
    wait_for(lambda: (c.suspect(sleeper, victim) or {}).get('state'), 40, 'it suspects the dead node')
    sleeper.parts['healer'].p.send_signal(signal.SIGSTOP)
    running = [n for n in c.living() if n is not sleeper]

    def restored():
        """By the kubelets, and by claims of those who can answer."""
        ran = [r['orig'] for r in c.runs() if r['orig'] in lost and not r['end']]
        told = [x['uid'] for n in running for x in n.http('/v1/claims') or [] if x.get('copy') == 'running']
        return sorted(ran) == sorted(lost) and len(told) >= len([r for r in c.runs() if r['node'] != sleeper.name and r['orig']])
    wait_for(restored, 60, 'the others restore all')
    sleeper.parts['healer'].p.send_signal(signal.SIGCONT)
    c.wait_copies(lost)
    c.assert_never_crowded(lost)
    c.mend()
    c.wait_handover(replicas=10)


def answer_500(c, on):
    """Whoever asks, whatever for."""
    if on:
        code, body = c.api.call('POST', '/kubesim/faults', {'match': {'path': '^/(api|apis|livez|readyz|healthz|version)'},
                                                            'action': 'status', 'status': 500})
        assert code == 200, body
    else:
        c.api.call('DELETE', '/kubesim/faults')


@stage(config={'kube.hung_after': '5s'})
def test_an_api_server_that_answers_500_is_an_outage_and_no_loss(c):
    c.run_web(replicas=6)
    before = c.done()
    lost = c.pods_on(c.nodes[2])
    c.wait_mirrored([r['uid'] for r in c.runs()])
    answer_500(c, True)
    c.wait_link('failing', 60)
    c.nothing_happens(6, before)
    c.nodes[2].power_off()
    c.wait_copies(lost)
    copied = time.time()
    answer_500(c, False)
    c.wait_link('online', 60)
    c.wait_handover()
    c.assert_never_crowded(lost)
    c.assert_no_hole(6, copied)
    check_healthy(c)
