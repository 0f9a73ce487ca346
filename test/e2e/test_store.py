"""The mirror's file breaks, or its disk is full."""
import glob
import os
import subprocess

from stage import Skip, stage, wait_for


@stage(nodes=2)
def test_corrupt_database_is_set_aside_and_rebuilt(c):
    c.run_web(replicas=4)
    n = c.nodes[0]
    n.parts['healer'].kill()
    db = n.path('data', 'desired.db')
    size = os.path.getsize(db)
    for f in glob.glob(db + '-*'):
        os.unlink(f)
    with open(db, 'r+b') as f:
        f.write(b'this is not a database' * 400)
    assert size
    n.start_healer()
    c.wait_whole()
    assert glob.glob(db + '.corrupt-*'), os.listdir(n.path('data'))
    wait_for(lambda: n.http('/v1/status')['mirror']['pods'] >= 4, 15, 'the mirror is there again')
    assert 'store was corrupt' in n.parts['healer'].text()
    assert n.http('/readyz')


def mounted_small(path, kib):
    return os.geteuid() == 0 and subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=%dk' % kib, 'edge-healer-test', path],
                                                capture_output=True).returncode == 0


@stage(nodes=2)
def test_full_disk_is_told_by_readyz_and_mends_itself(c):
    n = c.nodes[0]
    n.parts['healer'].kill()
    data = n.path('data')
    for f in os.listdir(data):
        os.unlink(os.path.join(data, f))
    if not mounted_small(data, 4096):
        raise Skip('no root or no mount: a full disk cannot be made here')
    try:
        n.start_healer()
        c.wait_whole()
        filler = os.path.join(data, 'filler')
        with open(filler, 'wb', buffering=0) as f:
            try:
                while f.write(b'x' * 4096):
                    pass
            except OSError:
                pass
        c.run_web(replicas=30, cpu='10m')     # more rows than its pages have room for
        wait_for(lambda: n.http('/readyz') is None and n.http('/livez'), 30, '/readyz says no, the daemon lives')
        store = next(x for x in n.http('/v1/status')['checks'] if x['name'] == 'store')
        assert not store['ok'] and store['note'], store
        assert n.metric('edge_healer_store_ok') == 0
        os.unlink(filler)
        wait_for(lambda: n.http('/readyz'), 60, 'ready again once there is room')
        assert n.metric('edge_healer_store_ok') == 1
        wait_for(lambda: n.http('/v1/status')['mirror']['inSync'], 20, 'in sync again')
    finally:
        n.parts['healer'].kill()
        subprocess.run(['umount', '-l', data], check=True)
