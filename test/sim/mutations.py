"""Seeded mistakes: each one, put into heal/, must be found by the simulator.

A row of MUTATIONS is a file of src/heal, the text that is there (once), what it becomes, the numbers of the invariants that may
catch it, how many seeds may pass before it is caught, and arguments of the simulator. One object is compiled anew for each and linked before the library.
"""
import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT_S = 120
QUICK_SEEDS = 1000

MUTATIONS = [
    ('our own probe is not heard', 'suspect.c',
     's->answer = answer;', 's->answer = answer && false;', (1,), 4000),
    ('gossip alone makes the majority', 'site.c',
     'return 2 * (voices + 1) > n.known;', 'return voices || n.known;', (1, 7), 2000),
    ('every node is of our site', 'site.c',
     'return str_eq(str_or(p->site, ""), h->conf.site);', 'return h && p;', (12,), 1000),
    ('the breaker never trips', 'site.c',
     'return lost * 100 > known * (size_t)h->conf.max_lost_percent;', 'return lost > known;', (7,), 2000),
    ('any part is a majority', 'site.c',
     'return 2 * n.alive > n.known;', 'return true;', (1, 2, 7), 1000),
    ('a peer that is online holds nobody', 'vouch.c',
     'return mono_is_set(e->first) ? mono_add_ms(from, HEAL_VOUCH_MS) : MONO_NEVER;', 'return from;', (1,), 2000),
    ('what does not fit is taken', 'turn.c',
     'if (fit_resources(&l->request, &h->local_left) != FIT_OK) {', 'if (false) {', (6,), 2000),
    ('all ranks act at once', 'loss.c',
     '(k >= 0 ? k : (int64_t)l->rank_count + 1) * h->conf.claim_timeout_ms', '0 * k', (2, 3), 20000),
    ('claims cross and nobody waits', 'turn.c',
     'if (!l->may_cross)\n\t\treturn 0;', 'return 0;', (2,), 20000),
    ('a refused pod of our own is filed as a lost node\'s', 'loss.c',
     '(void)home_has_lost(h, f, p, t->now, &cause);\n\tif (counts', 'cause = LOSS_NODE;\n\tif (counts', (13,), 2000),
    ('policy never is not known', 'lost.c',
     'if (policy == POLICY_NEVER)', 'if (false)', (5,), 1000),
    ('a pod that runs here is lost', 'home.c',
     ' || (f->running && map_get(f->running, p->uid)))', ')', (1,), 1000),
    ('tilted, and acts', 'heal.c',
     'if (t->tilted) {', 'if (false) {', (10,), 1000),
    ('the first claim stays, the better one is not heard', 'claims.c',
     'if (claim_compare(claim, &e->best) > 0)', 'if (true)', (0, 2, 3, 8), 3000),
    ('a new loss has the old epoch', 'claims.c',
     'e->best.epoch : e->best.epoch + 1;', 'e->best.epoch : e->best.epoch;', (0, 2, 3, 8), 20000),
    ('any Ready is believed', 'reconcile.c',
     'return alive_ms >= HEAL_SETTLE_MS &&', 'return alive_ms >= 0 ||', (4,), 6000),
    ('a Ready of a node that is cut off is believed', 'reconcile.c',
     'if (!is_online(h, f, p->node, now))\n\t\treturn false;', '', (4,), 6000),
    ('break before make', 'reconcile.c',
     'else if (ready_pods(h, f, c, t->now) >= w->replicas)', 'else if (ready_pods(h, f, c, t->now) >= 0)', (4,), 1000),
    ('gone_grace is over at once', 'reconcile.c',
     'if (mono_reached(t->now, due))\n\t\tcopy_action', 'if (true)\n\t\tcopy_action', (4,), 2000),
    ('started elsewhere before the node has stopped it', 'once.c',
     'return stop_after_ms + stop_after_ms * HEAL_ALLOWANCE_PERCENT / 100 + HEAL_ALLOWANCE_MS;',
     'return stop_after_ms / 4;', (3,), 2000),
    ('a lapsed lease stops nothing', 'once.c',
     'if (!stopped && !e->holds)', 'if (false)', (3,), 2000),
    ('fences count when the round is over', 'once.c',
     '\t\tuid_add(o->fenced, g->fenced[i]);', '\t\t(void)o;', (3,), 6000),
    ('a shifted lease is renewed by old answers', 'once.c',
     '\to->asked = o->ask_due = (struct mono){ 0 };\n\to->granter_count = 0;', '', (3,), 6000),
    ('an original that runs beside its copy is not seen', 'reconcile.c',
     'if (runs_twice_here(h, c, f))', 'if (false)', (3,), 40000),
    ('a holder calls unused what it asks for', 'fence.c',
     'if (f->holder == h->conf.self && strncmp(f->pod_uid, uid, len) == 0)', 'if (false)', (3,), 20000),
    ('a fence is over when nobody is seen to use it', 'fence.c',
     'fence->asked = t->now;', 'fence->unused = true;', (3,), 20000),
    ('a granter forgets its fences with its process', 'fence.c',
     '(void)fence_put(h->granter, f, now);\n}', '(void)h;\n\t(void)f;\n\t(void)now;\n}', (3,), 20000),
    ('nobody makes room in a full cluster', 'room.c',
     '\t\treturn true;\n\tplan_wake_at(plan, due);', '\t\treturn false;\n\tplan_wake_at(plan, due);', (0,), 3000),
    ('room is made although something is missing', 'room.c',
     '(int64_t)copies >= w->replicas', '(int64_t)copies >= 0', (4,), 6000),
    ('one copy too many goes', 'room.c',
     '(int64_t)before < own', '(int64_t)before <= own', (4,), 2000),
    ('an original and its copy both count', 'room.c',
     ' && !(original && original->ready);', ';\n\t(void)original;', (4,), 12000),
    ('one voice is a veto', 'doubt.c',
     's->doubts >= most', 's->doubts >= most + 1000', (14,), 300, '--liar'),
    ('nobody ever restores offline', 'turn.c',
     'return f->link == LINK_OFFLINE && ', 'return false && f->link == LINK_OFFLINE && ', (14,), 1000),
    ('a rebooted node never knows enough', 'home.c',
     '\t\t\to->cold = COLD_KNOWN;\n\t\t} else {', '\t\t\to->cold = COLD_WAIT;\n\t\t} else {', (14,), 3000),
    ('a pod that vanishes is not missed', 'home.c',
     '*out_cause = LOSS_LOCAL;\n\treturn true;', 'return false;', (14,), 6000),
    ('what a member without a mirror has lost is left alone', 'loss.c',
     'blanks_scan(h, t, f, plan, lost);', '(void)plan;', (14,), 1000),
    ('the Lease is not asked', 'online.c',
     '!s->lease_read || s->lease_alive', 'false', (1,), 1000),
    ('replaced while its copy runs', 'online.c',
     'pod_is_held(h, f, p->uid) || ', '', (3,), 6000),
    ('a returned node keeps its taint', 'online.c',
     'taint_set(h, n, false, t, plan);', '(void)plan;', (0,), 1000),
    ('what came to nothing is not looked at again', 'marks.c',
     '\tplan_wake_at(plan, mono_add_ms(now, again_ms));\t/*', '\t/*', (0,), 6000),
]


def build(o, folder, name, old, new):
    """The simulator with one file changed; its path."""
    with open(os.path.join(TOP, 'src/heal', name)) as f:
        text = f.read()
    if text.count(old) != 1:
        sys.exit('mutations: %s has %d times: %s' % (name, text.count(old), old))
    source, binary = os.path.join(folder, name), os.path.join(folder, 'sim')
    with open(source, 'w') as f:
        f.write(text.replace(old, new))
    compiler = [w for w in shlex.split(o.cc) if w not in ('-Werror', '-Wall', '-Wextra')]
    compiler += ['-Isrc/heal', '-w', '-c', '-o', source[:-1] + 'o', source]
    subprocess.run(compiler, cwd=TOP, check=True)
    subprocess.run(shlex.split(o.link) + ['-o', binary, source[:-1] + 'o'] + o.objects.split() + [o.lib] + shlex.split(o.libs),
                   cwd=TOP, check=True)
    return binary


def hunt(binary, invariants, seeds, args):
    """(seed, number of the invariant, its sentence) or None. Other invariants may break on the way."""
    p = subprocess.run([binary, '--batch', str(seeds), '--from', '1', '--stop-at', ','.join(map(str, invariants)), *args],
                       stdout=subprocess.PIPE, timeout=LIMIT_S)
    for m in re.finditer(r'^FAILED --seed (\d+) .*?: (invariant (\d+), .*)$', p.stdout.decode(), re.M):
        if int(m.group(3)) in invariants:
            return int(m.group(1)), int(m.group(3)), m.group(2)
    return None


def main():
    p = argparse.ArgumentParser(description='Put mistakes into heal/ and see that the simulator finds them.')
    for name in ('cc', 'link', 'objects', 'lib', 'libs'):
        p.add_argument('--' + name, required=True)
    p.add_argument('--only', default='', help='those whose description contains this')
    p.add_argument('--quick', action='store_true', help='those that %d seeds are enough for' % QUICK_SEEDS)
    o = p.parse_args()
    passed = failed = 0
    for what, name, old, new, invariants, seeds, *args in MUTATIONS:
        if o.only not in what or (o.quick and seeds > QUICK_SEEDS):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = hunt(build(o, folder, name, old, new), invariants, seeds, args)
        passed, failed = passed + bool(found), failed + (not found)
        print('%-6s %-55s %s' % ('caught' if found else 'MISSED', what,
                                 'seed %d: %s' % (found[0], found[2][:70]) if found else 'in %d seeds' % seeds), flush=True)
    print('%d passed, %d failed' % (passed, failed))
    sys.exit(1 if failed or not passed else 0)


if __name__ == '__main__':
    main()
