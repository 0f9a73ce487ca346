"""Workloads that take their configuration from ConfigMaps and Secrets: mirrored, sealed, rendered into copies, and nowhere else."""
import base64
import contextlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import uuid

from stage import check_healthy, stage, wait_for

SECRET, NEWER = 'correct-horse-battery-staple', 'staple-battery-horse-correct'
FILE = 'certificate-of-the-shop\n'


def b64(text):
    return base64.b64encode(text.encode()).decode()


def shop(c, replicas=3):
    """A Deployment with everything: env and envFrom of both kinds, a mounted ConfigMap with items, a mounted Secret."""
    c.create('ConfigMap', 'configmaps', 'settings', data={'color': 'red $(HOME)', 'app.conf': 'size=3\n', '1st': 'x'})
    c.create('Secret', 'secrets', 'login', data={'password': b64(SECRET)})
    c.create('Secret', 'secrets', 'tls', data={'tls.crt': b64(FILE)})
    container = {
        'name': 'c', 'image': 'localhost/busybox:1', 'command': ['/bin/sleep', '100000'],
        'resources': {'requests': {'cpu': '100m', 'memory': '16Mi'}},
        'envFrom': [{'prefix': 'SHOP_', 'secretRef': {'name': 'login'}}, {'configMapRef': {'name': 'settings'}}],
        'env': [{'name': 'COLOR', 'valueFrom': {'configMapKeyRef': {'name': 'settings', 'key': 'color'}}},
                {'name': 'AGAIN', 'value': '$(COLOR)!'},
                {'name': 'MAYBE', 'valueFrom': {'secretKeyRef': {'name': 'none', 'key': 'x', 'optional': True}}}],
        'volumeMounts': [{'name': 'conf', 'mountPath': '/etc/shop'}, {'name': 'tls', 'mountPath': '/tls/crt', 'subPath': 'tls.crt'}]}
    volumes = [{'name': 'conf', 'configMap': {'name': 'settings', 'defaultMode': 0o440, 'items': [
        {'key': 'app.conf', 'path': 'etc/app.conf'}, {'key': 'color', 'path': 'color', 'mode': 0o400}]}},
               {'name': 'tls', 'secret': {'secretName': 'tls'}}]
    c.run_web('shop', replicas, spec={'containers': [container], 'volumes': volumes})


def readiness(n, name='shop'):
    return next((w for w in n.http('/v1/readiness') or [] if w['deployment'] == name), None)


def wait_ready_offline(c, name='shop'):
    wait_for(lambda: all((readiness(n, name) or {}).get('ready') for n in c.living()), 30, 'all nodes could restore ' + name)


def bundles(n):
    try:
        return sorted(os.listdir(n.path('bundles')))
    except FileNotFoundError:
        return []


def plant_bundle(n, marker):
    name = str(uuid.uuid4())
    os.makedirs(n.path('bundles', name, 'v'))
    with open(n.path('bundles', name, 'v', 'file'), 'w') as f:
        f.write('left behind')
    if marker:
        with open(n.path('bundles', name, '.edge-healer-bundle'), 'w') as f:
            f.write(name)
    return name


def change_secret(c, name, **values):
    code, body = c.api.call('PATCH', '/api/v1/namespaces/%s/secrets/%s' % (c.ns, name),
                            {'data': {k: b64(v) for k, v in values.items()}}, 'application/merge-patch+json')
    assert code == 200, body


def check_manifest(n, file, password):
    path = n.path('manifests', file)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with open(path) as f:
        pod = json.load(f)
    env = pod['spec']['containers'][0]['env']
    assert {'name': 'SHOP_password', 'value': password} in env, env
    assert {'name': '1st', 'value': 'x'} in env, 'a kubelet of 1.34 and above takes every key: %s' % env
    assert {'name': 'COLOR', 'value': 'red $$(HOME)'} in env and {'name': 'AGAIN', 'value': '$(COLOR)!'} in env, env
    assert not [e for e in env if e['name'] == 'MAYBE'] and 'envFrom' not in pod['spec']['containers'][0]
    root = n.path('bundles', pod['metadata']['uid'])
    for v in pod['spec']['volumes']:
        assert v['hostPath'] == {'path': os.path.join(root, v['name']), 'type': 'Directory'}, v
    assert all(m['readOnly'] for m in pod['spec']['containers'][0]['volumeMounts'])
    for name, mode, text in (('conf/etc/app.conf', 0o440, 'size=3\n'), ('conf/color', 0o400, 'red $(HOME)'), ('tls/tls.crt', 0o644, FILE)):
        with open(os.path.join(root, name)) as f:
            assert f.read() == text, name
        assert stat.S_IMODE(os.stat(os.path.join(root, name)).st_mode) == mode, name
    assert stat.S_IMODE(os.stat(root).st_mode) == 0o700 and stat.S_IMODE(os.stat(os.path.join(root, 'conf')).st_mode) == 0o755
    assert sorted(os.listdir(os.path.join(root, 'conf'))) == ['color', 'etc']


def forms(text):
    """How a text may be written: as it is, in base64 at any of the three offsets, hex."""
    raw = text.strip().encode()
    out = [raw, raw.hex().encode()]
    return out + [base64.b64encode(b'x' * k + raw)[4 * ((k + 2) // 3):-4] for k in range(3)]


def check_no_trace(c, *texts):
    """Of a Secret nothing is in the logs, the database and its companions, /v1 and /metrics."""
    for n in c.nodes:
        seen = {}
        for name in os.listdir(n.path('data')):
            with open(n.path('data', name), 'rb') as f:
                seen[name] = f.read()
        with open(n.parts['healer'].log, 'rb') as f:
            seen['log'] = f.read()
        if n.parts['healer'].alive():
            for path in ('status', 'members', 'pods', 'claims', 'readiness', 'history?limit=1000'):
                seen[path] = json.dumps(n.http('/v1/' + path)).encode()
            seen['metrics'] = n.http('/metrics').encode()
        for name, data in seen.items():
            for text in texts:
                hit = [f for f in forms(text) if f in data]
                assert not hit, '%s of %s holds %s' % (name, n.name, hit)


def no_core_dumps(n):
    """The kernel gives /proc of a process that may not be dumped to root, whoever runs it."""
    with open('/proc/%d/limits' % n.parts['healer'].p.pid) as f:
        return next(line for line in f if line.startswith('Max core file size')).split()[4:6] == ['0', '0']


@stage(log_level='debug')
def test_copies_take_their_configuration_along_and_nothing_leaks(c):
    shop(c)
    wait_ready_offline(c)
    change_secret(c, 'login', password=NEWER)
    version = c.api.get('/api/v1/namespaces/%s/secrets/login' % c.ns)['metadata']['resourceVersion']

    def stored(n):
        with contextlib.closing(sqlite3.connect('file:%s?mode=ro' % n.path('data', 'desired.db'), uri=True)) as db:
            return db.execute("SELECT version FROM objects WHERE name='login'").fetchone() == (int(version),)
    wait_for(lambda: all(stored(n) for n in c.nodes), 10, 'the changed Secret is mirrored')
    c.offline()
    lost = c.lose(c.busiest('shop'), 'shop')
    c.wait_copies(lost)
    assert c.files()
    for name, file in c.files():
        check_manifest(c.node(name), file, NEWER)
    assert sum(len(bundles(n)) for n in c.living()) == len(lost)
    check_no_trace(c, SECRET, NEWER, FILE)
    assert all(no_core_dumps(n) for n in c.living())
    c.mend()
    c.wait_handover('shop', 3)
    wait_for(lambda: not any(bundles(n) for n in c.living()), 10, 'no bundle is left')
    check_no_trace(c, SECRET, NEWER, FILE)
    check_healthy(c)


@stage(nodes=2, config={'metrics.offline_ready': 'true'})
def test_missing_and_deleted_objects_are_told_by_readiness(c):
    shop(c, 2)
    wait_ready_offline(c)
    n = c.nodes[0]
    series = 'edge_healer_offline_ready{namespace="%s",workload="%s"}' % (c.ns, readiness(n)['workload'])
    assert n.metric(series) == 1
    code, _ = c.api.call('DELETE', '/api/v1/namespaces/%s/secrets/tls' % c.ns)
    assert code == 200
    wait_for(lambda: not readiness(n)['ready'], 10, 'not ready without its Secret')
    assert readiness(n)['reason'] == 'spec.volumes[1]: Secret tls is missing', readiness(n)
    out = subprocess.run([c.binary, 'readiness', '-s', n.url()], capture_output=True, text=True)
    assert out.returncode == 0 and 'Secret tls is missing' in out.stdout, out
    wait_for(lambda: n.metric('edge_healer_workloads_not_ready') == 1, 15, 'counted')
    assert n.metric(series) == 0 and n.http('/v1/status')['readiness'] == {'ready': 0, 'notReady': 1}

    def events(reason):
        return [e for e in c.api.get('/api/v1/namespaces/%s/events' % c.ns)['items'] if e['reason'] == reason and
                e['involvedObject']['kind'] == 'ReplicaSet' and e['source'].get('host') == n.name]
    wait_for(lambda: len(events('NotOfflineReady')) == 1, 15, 'an Event on the ReplicaSet')
    c.create('Secret', 'secrets', 'tls', data={'tls.crt': b64(FILE)})
    wait_for(lambda: readiness(n)['ready'], 10, 'ready again')
    wait_for(lambda: len(events('OfflineReady')) == 1, 15, 'an Event on the ReplicaSet')
    n.parts['healer'].kill()
    marked, foreign = plant_bundle(n, marker=True), plant_bundle(n, marker=False)
    n.start_healer()
    c.wait_whole()
    assert bundles(n) == [foreign], 'what no copy owns is removed if it is provably ours: %s, %s' % (marked, bundles(n))
    wait_for(lambda: n.metric('edge_healer_workloads_ready') == 1, 20, 'looked at after the start')
    assert len(events('NotOfflineReady')) == 1 and len(events('OfflineReady')) == 1, 'a start tells nothing'


@stage(nodes=1)
def test_variables_from_secrets_are_refused_where_the_site_wants_it(c):
    """Values of Secrets in a mirror pod are for all who may get pods: a site may do without such copies, and says so in its readiness."""
    shop(c, 1)
    wait_ready_offline(c)
    n = c.nodes[0]
    c.config = dict(c.config, **{'heal.secret_env': 'refuse'})
    n.write_config()                          # a changed file is read by itself
    wait_for(lambda: 'a value of Secret login would be a literal' in readiness(n).get('reason', ''), 15, 'not ready any more')
    c.config = dict(c.config, **{'heal.secret_env': 'literal'})
    n.write_config()
    wait_for(lambda: readiness(n)['ready'], 15, 'ready again')


def keys(path):
    with open(path) as f:
        return f.read().splitlines()


@stage(nodes=1)
def test_keys_are_rotated_and_a_lost_key_costs_only_a_fetch(c):
    shop(c, 1)
    wait_ready_offline(c)
    n = c.nodes[0]
    path = n.path('data', 'desired.db.key')
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600 and len(keys(path)) == 1

    def rows():
        with contextlib.closing(sqlite3.connect('file:%s?mode=ro' % n.path('data', 'desired.db'), uri=True)) as db:
            return {name: key for name, key in db.execute('SELECT name, key FROM objects WHERE kind=1 AND gone=0')}
    assert sorted(rows()) == ['login', 'tls'] and set(rows().values()) == {keys(path)[0].split()[0]}, rows()
    old = keys(path)[0]
    with open(path, 'w') as f:
        f.write('second %s\n%s\n' % (base64.b64encode(os.urandom(32)).decode(), old))
    n.parts['healer'].p.send_signal(signal.SIGHUP)
    wait_for(lambda: set(rows().values()) == {'second'}, 10, 'sealed anew with the first key')
    n.parts['healer'].line('secrets sealed anew')
    with open(path, 'w') as f:
        f.write('third %s\n' % base64.b64encode(os.urandom(32)).decode())
    n.parts['healer'].kill()
    n.start_healer()                          # nothing of what is stored opens: said, and fetched again
    c.wait_whole()
    wait_for(lambda: set(rows().values()) == {'third'}, 10, 'fetched and sealed anew')
    wait_for(lambda: readiness(n)['ready'], 10, 'ready')
    assert 'secret does not open' in n.parts['healer'].text()
    os.chmod(path, 0o644)
    n.parts['healer'].kill()
    n.start_healer()
    wait_for(lambda: 'there is no usable key file' in (readiness(n) or {}).get('reason', ''), 20, 'refused keys cost the Secrets')
    assert 'chmod 600' in n.parts['healer'].text() and n.http('/livez')
