"""How long callbacks held a healer's loop, in CPU time, as its metrics tell: nothing else happens meanwhile, healing neither."""
from process import wait_for

PAUSE = 'edge_healer_loop_pause_'


def pauses(n):
    """(longest since the start, {bound: callbacks that took no longer}) in seconds, as its metrics tell."""
    text = wait_for(lambda: n.http('/metrics'), 10, 'metrics')
    rows = dict(line.rsplit(' ', 1) for line in text.splitlines() if line.startswith(PAUSE))
    buckets = {float(k.split('"')[1]): float(v) for k, v in rows.items() if '_bucket' in k}
    return float(rows[PAUSE + 'max_seconds']), buckets


def longest_between(before, after):
    """The longest callback of that time; when it was not the longest since the start, the bound of its bucket."""
    if after[0] > before[0]:
        return after[0]
    total = max(before[1])               # +Inf
    calls = {b: after[1][b] - before[1][b] for b in after[1]}
    return min(b for b in calls if calls[b] == calls[total])
