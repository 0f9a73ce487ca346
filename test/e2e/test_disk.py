"""Folders that take no writes, a store that is deleted under us: each node does what it still can and says what it cannot."""
import contextlib
import glob
import os
import sqlite3
import subprocess

import shim
from killed import check_clean, in_sync, restart
from stage import Skip, stage, wait_for
from test_faults import read_only, shop


def stored_copies(n):
    with contextlib.closing(sqlite3.connect('file:%s?mode=ro' % n.path('data', 'desired.db'), uri=True)) as db:
        return sorted(db.execute('SELECT pod, file FROM copies').fetchall())


@stage()
def test_store_deleted_under_us_is_written_anew_with_all_it_held(c):
    """One before a restore: the intent must not go to a file without a name. One with running copies: they are not forgotten."""
    c.run_web(replicas=6)
    c.offline()
    for n in c.nodes:
        for f in glob.glob(n.path('data', 'desired.db*')):
            os.unlink(f)
    victim = c.nodes[2]
    lost = c.lose(victim)
    where = c.wait_copies(lost)
    rest = c.living()
    wait_for(lambda: all(os.path.exists(n.path('data', 'desired.db')) for n in rest), 15, 'there are stores again')
    for n in rest:
        assert [h for h in n.history() if h['event'] == 'store was deleted'], n.history()
        for f in glob.glob(n.path('data', 'desired.db*')):
            os.unlink(f)
    wait_for(lambda: all(os.path.exists(n.path('data', 'desired.db')) for n in rest), 15, 'there are stores again')
    wait_for(lambda: sorted(u for n in rest for u, _ in stored_copies(n)) == sorted(lost), 5, 'the rows of all copies are in them')
    for n in rest:
        restart(n)
    wait_for(lambda: all((n.http('/v1/status') or {'mirror': {}})['mirror'].get('pods', 0) >= 6 for n in rest), 15, 'the mirror is there')
    c.wait_link('offline')
    assert c.wait_copies(lost) == where, 'no copy was restarted or moved'
    check_clean(c)
    c.mend()
    c.wait_handover()
    c.assert_never_crowded(lost)


@stage()
def test_a_static_pod_folder_that_turns_read_only_keeps_no_copy_for_ever(c):
    """At the restore: another node does it. At the handover: the file goes as soon as it can, and until then its row stays."""
    c.run_web(replicas=6)
    c.offline()
    lost = c.lose(c.nodes[2])
    where = c.wait_copies(lost)
    n = c.node(where[lost[0]])
    undo = read_only(n.path('manifests'))
    try:
        c.mend()
        wait_for(lambda: [x for m, x in c.copies() if m is n and x['copy'] == 'dropping'], 60, 'it wants to drop its copies')
        wait_for(lambda: n.metric('edge_healer_effect_errors_total{effect="remove"}'), 10, 'it is counted')
        assert n.manifests(), 'the folder takes no writes'
    finally:
        undo()
    c.wait_handover()
    check_clean(c)


@stage()
def test_a_bundle_folder_that_is_full_leaves_the_pod_to_another_node(c):
    shop(c, 6)
    n, other, victim = c.nodes
    os.makedirs(n.path('bundles'), exist_ok=True)
    if os.geteuid() or subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4k,nr_inodes=3', 'edge-healer-test', n.path('bundles')],
                                      capture_output=True).returncode:
        raise Skip('no root or no mount: a full disk cannot be made here')
    try:
        c.offline()
        lost = c.lose(victim)
        where = c.wait_copies(lost)
        assert set(where.values()) == {other.name}, where
        check_clean(c)
    finally:
        subprocess.run(['umount', '-l', n.path('bundles')], check=True)
    c.mend()
    c.wait_handover()
    check_clean(c)


@stage(shimmed=True)
def test_a_store_that_turns_read_only_restores_nothing_and_mends_itself(c):
    """No intent, no effect: the other node does it. Copies that run are handed over all the same."""
    c.run_web(replicas=6)
    n, other, victim = c.nodes
    in_sync(c, c.nodes)
    c.offline()
    shim.disk(n, writable=False)
    lost = c.lose(victim)
    where = c.wait_copies(lost)
    assert set(where.values()) == {other.name}, where
    wait_for(lambda: n.http('/readyz') is None and n.http('/livez'), 20, '/readyz says no, the daemon lives')
    shim.disk(n, writable=True)
    c.mend()
    wait_for(lambda: n.http('/readyz'), 75, 'ready again')
    c.wait_handover()
    check_clean(c)
