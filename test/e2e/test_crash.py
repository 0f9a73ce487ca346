"""Healers and their nodes die at the worst moments."""
import os
import random
import time

from machine import patient
from stage import CLAIMS_COME_LATE, stage, wait_for


@stage(nodes=5, config=CLAIMS_COME_LATE)
def test_the_holder_of_a_copy_dies_too_a_third_node_takes_over(c):
    c.run_web(replicas=5)
    c.offline()
    victim = c.busiest()
    first = c.lose(victim)
    where = c.wait_copies(first)
    holder = c.node(where[first[0]])
    # dead within 200 ms of its claim it might have told nobody: another rank would have acted too, and been right
    wait_for(lambda: all(set(first) <= {x['uid'] for x in n.http('/v1/claims') or []} for n in c.living()), 10, 'all know the claims')
    second = c.pods_on(holder)
    holder.power_off()
    held = [u for u in first if where[u] == holder.name]
    now = c.wait_copies(first + second)
    assert all(now[u] not in (victim.name, holder.name) for u in now), now
    epochs = {x['uid']: x['epoch'] for n, x in c.copies()}
    assert all(epochs[u] == 2 for u in held), epochs
    assert all(epochs[u] == 1 for u in second), epochs
    c.assert_never_crowded(first + second)


def restart_healer(n):
    n.parts['healer'].kill()
    n.start_healer()


@stage()
def test_healer_killed_while_copies_run_keeps_them_and_hands_over(c):
    c.run_web(replicas=6)
    c.offline()
    victim = c.busiest()
    lost = c.lose(victim)
    c.wait_copies(lost)
    before = [(r['uid'], r['node']) for r in c.runs() if r['orig']]
    for n in c.living():
        restart_healer(n)
    wait_for(lambda: all(n.http('/v1/status') for n in c.living()), 15, 'they answer again')
    c.wait_link('offline')
    c.wait_copies(lost)
    assert sorted(r for r in before) == sorted((r['uid'], r['node']) for r in c.runs() if r['orig']), 'no copy was restarted or doubled'
    copied = time.time()
    c.mend()
    c.wait_handover()
    c.assert_never_crowded(lost)
    c.assert_no_hole(6, copied)


def wait_first_file(nodes, seconds):
    """The node whose static-pod folder is written to first; without a pause between two looks, dotfiles count."""
    seconds = patient(seconds)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for n in nodes:
            if os.listdir(n.path('manifests')):
                return n
    raise AssertionError('no manifest within %d s' % seconds)


@stage()
def test_healers_killed_in_the_middle_of_a_restore_leave_no_orphan_and_no_double(c):
    c.run_web(replicas=60, cpu='10m')
    c.offline()
    victim = c.busiest()
    lost = c.lose(victim)
    rest = c.living()
    wait_for(lambda: any(m['node'] == victim.name and m['status'] == 'failed' for n in rest for m in n.http('/v1/members') or []),
             60, 'gossip says failed')
    n = wait_first_file(rest, 30)
    n.parts['healer'].kill()
    print('%s killed with %d of its files written' % (n.name, len(n.manifests())))
    n.start_healer()
    seed = int(time.time())
    print('seed %d' % seed)
    dice = random.Random(seed)
    for _ in range(5):
        time.sleep(dice.uniform(0, 0.4))
        restart_healer(dice.choice(rest))
    c.wait_copies(lost)
    wait_for(lambda: len(c.files()) == len(lost), 15, 'one file for each lost pod')
    held = sorted((n.name, x['file']) for n, x in c.copies() if x['copy'] != 'dropping')
    assert held == sorted(c.files()), 'every file has its row: %s %s' % (held, c.files())
    c.assert_never_crowded(lost)
    c.mend()
    c.wait_handover(replicas=60)
    left = [f for n in rest for f in os.listdir(n.path('manifests'))]
    assert not left, 'half-written files are orphans too: %s' % left
