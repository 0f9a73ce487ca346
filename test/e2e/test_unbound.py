"""The API server answers and nobody schedules: Pending pods of ReplicaSets are bound by the healers."""
import collections
import json
import urllib.request

from stage import check_healthy, errors, stage, wait_for
from cluster import HTTP_PORT, PodWatch, Process

BIND_GRACE = 0.2


@stage(scheduler=False, shimmed=True)        # idle machines: one that says it is much less busy rightly gets all
def test_ten_pending_pods_are_bound_once_each_and_spread(c):
    watch = PodWatch(c.api, c.ns)
    c.deploy('web', 10)
    pods = c.wait_ready('web', 10)
    for p in pods:
        uid = p['metadata']['uid']
        born = watch.seen(uid)
        bound = watch.seen(uid, lambda pod: pod['spec'].get('nodeName'))
        assert bound - born < BIND_GRACE + 1, 'bound %.2f s after it was made' % (bound - born)
        nodes = {pod['spec']['nodeName'] for _, _, pod in watch.rows if pod['metadata']['uid'] == uid and pod['spec'].get('nodeName')}
        assert len(nodes) == 1, nodes
    runs = c.runs()
    assert len(runs) == 10 and len({r['uid'] for r in runs}) == 10, 'each pod ran once'
    spread = collections.Counter(r['node'] for r in runs)
    assert len(spread) == 3, spread
    wait_for(lambda: len(c.rows('won bid')) == 10, 5, 'ten bindings in the histories')
    for row in c.rows('won bid'):
        assert row['node'] == row['by'], 'a healer binds to its own node only: %s' % row
    check_healthy(c)


@stage(scheduler=False)
def test_pods_that_are_not_ours_are_left_alone(c):
    def note(name):
        pod = c.own_pods(name)[0]['metadata']['name']
        return next((x.get('note') for x in c.nodes[0].http('/v1/status')['losses'] if x.get('pod') == pod), None)
    c.deploy('gated', 1, spec={'schedulingGates': [{'name': 'example.com/wait'}]})
    c.deploy('foreign', 1, spec={'schedulerName': 'somebody-else'})
    c.deploy('elsewhere', 1, spec={'nodeSelector': {'disk': 'made-of-gold'}})
    wait_for(lambda: all(len(c.own_pods(name)) == 1 for name in ('gated', 'foreign', 'elsewhere')), 20, 'the pods are there')

    def reason(name):
        pod = c.own_pods(name)[0]['metadata']['name']
        return next((x['reason'] for x in c.nodes[0].http('/v1/status')['leftAlone'] if x['pod'] == pod), '')
    wait_for(lambda: 'gates' in reason('gated') and 'schedulerName' in reason('foreign'), 10, 'status says why they are left alone')
    why = wait_for(lambda: note('elsewhere'), 10, 'status says why it is not bound')
    assert 'node selector' in why, why
    for n in c.nodes:
        code, body = c.api.call('PATCH', '/api/v1/nodes/' + n.name, {'spec': {'taints': [
            {'key': 'edge-healer.test/keep-off', 'effect': 'NoSchedule'}]}}, 'application/merge-patch+json')
        assert code == 200, body
    c.deploy('tainted', 1)
    c.deploy('welcome', 1, spec={'tolerations': [{'key': 'edge-healer.test/keep-off', 'operator': 'Exists'}]})
    c.wait_ready('welcome', 1)                # made last and bound: the others had their chance
    why = wait_for(lambda: note('tainted'), 10, 'status says why it is not bound')
    assert 'taint' in why, why
    for name in ('gated', 'foreign', 'elsewhere', 'tainted'):
        for p in c.own_pods(name):
            assert not p['spec'].get('nodeName'), '%s was bound to %s' % (name, p['spec']['nodeName'])
    assert {h['pod'].rsplit('-', 2)[0] for h in c.rows('won bid')} == {'welcome'}


@stage(scheduler=False, nodes=2)
def test_two_healers_of_one_node_race_and_conflicts_are_no_errors(c):
    """As in a rollout: the old healer of node 1 and the new one bid for the same pods."""
    n = c.nodes[0]
    with open(n.path('edge-healer.yaml')) as f:
        config = json.load(f)
    config['store']['path'] = n.path('data', 'second.db')
    config['http']['listen'] = '%s:%d' % (n.ip, HTTP_PORT + 1)
    config['http']['socket'] = n.path('second.sock')
    with open(n.path('second.yaml'), 'w') as f:
        json.dump(config, f)
    n.parts['second'] = Process('second healer', [c.binary, 'agent', '--config', n.path('second.yaml')], n.path('second.log'))
    n.parts['second'].line('started')
    wait_for(lambda: second(n, '/readyz'), 15, 'the second healer is ready')
    c.deploy('web', 20)
    pods = c.wait_ready('web', 20)
    assert len({p['metadata']['uid'] for p in pods}) == 20

    def conflicts():
        return sum(metric(text, 'bind_conflicts_total') for text in (n.http('/metrics'), second(n, '/metrics'), c.nodes[1].http('/metrics')))
    wait_for(lambda: conflicts() >= 1, 10, 'conflicts are counted')
    for text in (n.http('/metrics'), second(n, '/metrics'), c.nodes[1].http('/metrics')):
        assert metric(text, 'edge_healer_effect_errors_total{effect="bind"}') == 0
    for part in ('healer', 'second'):
        assert 'bind failed' not in n.parts[part].text() and not errors(n.parts[part])
    assert len(c.runs()) == 20, 'each pod ran once'


def second(n, path):
    try:
        with urllib.request.urlopen('http://%s:%d%s' % (n.ip, HTTP_PORT + 1, path), timeout=3) as r:
            return r.read().decode()
    except OSError:
        return None


def metric(text, series):
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(series + ' ')), 0.0)
