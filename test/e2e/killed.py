"""Healers that kill themselves at a named point of include/base/faults.def, and what must be true of a site afterwards."""
import contextlib
import glob
import os
import re
import sqlite3

from stage import is_ready, wait_for

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIGKILLED = -9


def points():
    """The names of all points, as the daemon has them."""
    with open(os.path.join(TOP, 'include', 'base', 'faults.def')) as f:
        return re.findall(r'^X\(\w+, "([^"]+)"', f.read(), re.M)


def restart(n, point=None):
    n.parts['healer'].kill()
    n.start_healer({'EDGE_HEALER_FAULT': point} if point else None)


def arm(c, armed):
    """armed: {node: point}. They are up again, each with its point ahead of it; one that dies of it at once is left to deaths()."""
    for n, point in armed.items():
        restart(n, point)
    for n in armed:
        wait_for(lambda n=n: n.http('/v1/status') or not n.parts['healer'].alive(), 20, n.name + ' answers again')


def in_sync(c, nodes):
    wait_for(lambda: all((n.http('/v1/status') or {'mirror': {}})['mirror'].get('inSync') for n in nodes), 30, 'mirrors in sync')


def revive(armed):
    """Who died at its point comes back without it, and is armed no more."""
    for n in [n for n in armed if not n.parts['healer'].alive()]:
        code = n.parts['healer'].p.returncode
        assert code == SIGKILLED, '%s at %s ended with %s: %s' % (n.name, armed[n], code, n.parts['healer'].text()[-800:])
        del armed[n]
        n.start_healer()


def death_of_one(nodes, point, done, what, seconds=45):
    """What any of them may do first is done in the end, though who does it dies of it. Afterwards nobody is armed."""
    left = dict.fromkeys(nodes, point)

    def over():
        revive(left)
        return len(left) < len(nodes) and done()
    wait_for(over, seconds, '%s, after a death at %s' % (what, point))
    for n in left:
        restart(n)


def deaths(c, armed, seconds=60):
    """Each of them dies at its point, by itself, and comes back without."""
    left = dict(armed)

    def next_one():
        revive(left)
        return not left
    try:
        wait_for(next_one, seconds, 'healers to die')
    except AssertionError as e:
        raise AssertionError('never passed: %s (%s)' % (sorted(left.values()), e)) from None


# ---- what must be true ----

def frozen(n):
    """Pod cgroups that somebody holds still."""
    out = []
    for path in glob.glob(os.path.join(n.memory, '**', 'cgroup.freeze'), recursive=True):
        with contextlib.suppress(OSError), open(path) as f:
            out += [path] if f.read().strip() == '1' else []
    return out


def open_intents(n):
    with contextlib.closing(sqlite3.connect('file:%s?mode=ro' % n.path('data', 'desired.db'), uri=True)) as db:
        assert db.execute('PRAGMA integrity_check').fetchone() == ('ok',)
        return db.execute('SELECT kind, pod, target FROM intents').fetchall()


def waiting(n):
    """Reasons of the Kubernetes Events that its healer has not sent yet."""
    with contextlib.closing(sqlite3.connect('file:%s?mode=ro' % n.path('data', 'desired.db'), uri=True)) as db:
        return [row[0] for row in db.execute('SELECT reason FROM events ORDER BY id')]


def bundles(n):
    with contextlib.suppress(FileNotFoundError):
        return sorted(os.listdir(n.path('bundles')))
    return []


def leftovers(c):
    """What is there and should not be: files without rows, rows without files, dotfiles, bundles of nobody, open intents."""
    out = []
    for n in c.living():
        claims = n.http('/v1/claims')
        if claims is None:
            return ['%s does not answer' % n.name]
        rows = [x for x in claims if x.get('copy') and x['copy'] != 'dropping']
        files = os.listdir(n.path('manifests'))
        out += ['%s: dotfile %s' % (n.name, f) for f in files if f.startswith('.')]
        out += ['%s: file without a row: %s' % (n.name, f) for f in n.manifests() if f not in [x['file'] for x in rows]]
        out += ['%s: row without a file: %s' % (n.name, x['file']) for x in rows if x['file'] not in files]
        out += ['%s: bundle of nobody: %s' % (n.name, b) for b in bundles(n) if b not in [x['copyUid'] for x in rows]]
        out += ['%s: open intent %s' % (n.name, i) for i in open_intents(n)]
        out += ['%s: frozen: %s' % (n.name, os.path.basename(os.path.dirname(p))) for p in frozen(n)]
    return out


def check_clean(c):
    last = []

    def clean():
        last[:] = leftovers(c)
        return not last
    try:
        wait_for(clean, 20, 'nothing left over')
    except AssertionError as e:
        raise AssertionError('%s: %s' % (e, last)) from None


def check_api(c, watch, name, replicas, may_go=(), dead=None):
    """No pod was bound to two nodes, none but these was deleted, and there are just as many as wanted."""
    own = [p for p in c.own_pods(name) if is_ready(p)]
    assert len(own) == replicas == len(c.own_pods(name)), [p['metadata']['name'] for p in c.own_pods(name)]
    bound = {}
    for _, kind, pod in list(watch.rows):
        meta = pod['metadata']
        if 'kubernetes.io/config.mirror' in meta.get('annotations', {}):
            continue
        bound.setdefault(meta['uid'], set()).update([pod['spec']['nodeName']] if pod['spec'].get('nodeName') else [])
        assert kind != 'DELETED' or meta['uid'] in may_go or pod['spec'].get('nodeName') == dead, '%s on %s was deleted though its node is healthy' % (meta['name'], pod['spec'].get('nodeName'))
    assert all(len(nodes) < 2 for nodes in bound.values()), bound
