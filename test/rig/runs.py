"""What ran where and when, by the kubelets' own journals, and what can be said about it."""

BEGINS, ENDS = ('running', 'recovered'), ('stop', 'preempted', 'vanished')


def of_journal(events, node):
    """What ran: ns, name, uid, orig (of a copy, else None), node, start, end (None = still), frozen (it ended by being frozen).

    A frozen pod does not run: its run ends when the freezer's file was written and another begins when it is thawed.
    """
    out, running, paused = [], {}, {}

    def begin(run):
        running[run['uid']] = run
        out.append(run)
    for e in sorted(events, key=lambda e: e['t']):
        kind, uid = e['event'], e.get('uid')
        if kind in BEGINS and uid not in running and uid not in paused:
            begin({'ns': e['ns'], 'name': e['name'], 'uid': uid, 'orig': e.get('orig'), 'node': node, 'start': e['t'], 'end': None,
                   'frozen': False})
        elif kind == 'frozen' and uid in running:
            paused[uid] = running.pop(uid)
            paused[uid].update(end=e['t'], frozen=True)
        elif kind == 'thawed' and uid in paused:
            begin(dict(paused.pop(uid), start=e['t'], end=None, frozen=False))
        elif kind in ENDS:
            paused.pop(uid, None)
            if uid in running:
                running.pop(uid)['end'] = e['t']
        elif kind == 'death':
            for run in running.values():
                run['end'] = e['t']
            running, paused = {}, {}
    return out


def most(runs, wanted):
    """How many of them ran at once at worst."""
    return max([count for _, _, count in levels(runs, wanted)] or [0])


def levels(runs, wanted):
    """How many ran over time: [(from, to, count)] of pods of a Deployment; `to` of the last is None."""
    edges = sorted([(r['start'], 1) for r in runs if wanted(r)] + [(r['end'], -1) for r in runs if wanted(r) and r['end']])
    out, count = [], 0
    for i, (t, step) in enumerate(edges):
        count += step
        out.append((t, edges[i + 1][0] if i + 1 < len(edges) else None, count))
    return out


def longest(levels_, check, start, end):
    """The longest unbroken time within [start, end] in which check(count) held, in seconds."""
    best = run = 0.0
    for a, b, count in levels_:
        a, b = max(a, start), min(b or end, end)
        if b <= a:
            continue
        run = run + b - a if check(count) else 0.0
        best = max(best, run)
    return best
