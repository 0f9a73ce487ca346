"""A copy is what the cluster admitted, whatever a template says by now; and an annotation that nobody understands means never."""
import json

from stage import check_healthy, stage, wait_for


def replica_set(c, name, replicas, annotations=None):
    """On its own: nobody rolls it out when its template changes."""
    code, body = c.api.call('POST', '/apis/apps/v1/namespaces/%s/replicasets' % c.ns, {
        'apiVersion': 'apps/v1', 'kind': 'ReplicaSet', 'metadata': {'name': name, 'namespace': c.ns, 'annotations': annotations or {}},
        'spec': {'replicas': replicas, 'selector': {'matchLabels': {'app': name}}, 'template': {
            'metadata': {'labels': {'app': name}}, 'spec': {'terminationGracePeriodSeconds': 1, 'containers': [{
                'name': 'c', 'image': 'localhost/busybox:1', 'command': ['/bin/sleep', '100000'],
                'resources': {'requests': {'cpu': '100m', 'memory': '16Mi'}}}]}}}})
    assert code == 201, body
    c.wait_ready(name, replicas)


def patch_template(c, name, spec):
    code, body = c.api.call('PATCH', '/apis/apps/v1/namespaces/%s/replicasets/%s' % (c.ns, name), {'spec': {'template': {'spec': spec}}},
                            'application/merge-patch+json')
    assert code == 200, body


def readiness(n, name):
    return next((r for r in n.http('/v1/readiness') or [] if name in (r['workload'], r.get('deployment'))), None)


EVIL = {'hostPID': True, 'hostNetwork': True, 'volumes': [{'name': 'root', 'hostPath': {'path': '/'}}], 'containers': [{
    'name': 'c', 'image': 'localhost/busybox:1', 'command': ['/bin/own-the-node'], 'securityContext': {'privileged': True},
    'volumeMounts': [{'name': 'root', 'mountPath': '/host'}]}]}


@stage()
def test_a_template_that_was_changed_after_admission_is_not_what_a_copy_is_made_of(c):
    """Whoever may edit a ReplicaSet would be root on the neighbours: no pod admission runs on a template."""
    replica_set(c, 'web', 6)
    patch_template(c, 'web', EVIL)
    wait_for(lambda: all((readiness(n, 'web') or {}).get('ready') for n in c.nodes), 20, 'all could restore what runs')
    c.offline()
    victim = c.busiest()
    lost = c.lose(victim)
    c.wait_copies(lost)
    for n in c.living():
        for f in n.manifests():
            with open(n.path('manifests', f)) as m:
                pod = json.load(m)
            text = json.dumps(pod)
            assert 'privileged' not in text and 'own-the-node' not in text and not pod['spec'].get('hostPID'), text
            assert pod['spec']['containers'][0]['command'] == ['/bin/sleep', '100000']
    c.mend()
    check_healthy(c)


@stage()
def test_an_annotation_that_nobody_understands_means_never(c):
    replica_set(c, 'web', 6, annotations={'edge-healer.io/policy': 'At-Most-Once'})
    for n in c.nodes:
        wait_for(lambda n=n: 'invalid value "At-Most-Once"' in ((readiness(n, 'web') or {}).get('reason') or ''), 20, 'it is shown')
    events = '/api/v1/namespaces/%s/events' % c.ns
    wait_for(lambda: any(e.get('reason') == 'NotOfflineReady' and 'At-Most-Once' in e.get('message', '') for e in c.api.get(events)['items']),
             20, 'and told as an Event')
    c.offline()
    lost = c.lose(c.busiest())
    before = c.done()
    for n in c.living():
        wait_for(lambda n=n: any(s['state'] == 'lost' for s in n.http('/v1/status')['suspects']), 30, 'the loss is seen')
    c.nothing_happens(4, before)
    assert not any(r['orig'] in lost for r in c.runs()), 'it was started after all'



@stage(scheduler=False)
def test_a_port_of_the_hosts_network_is_taken_where_the_pod_runs(c):
    """Admission writes the hostPort into the pod, the template has none: readiness and rank see what was admitted."""
    c.run_web('web', 2, spec={'hostNetwork': True, 'containers': [{
        'name': 'c', 'image': 'localhost/busybox:1', 'ports': [{'containerPort': 18080}],
        'resources': {'requests': {'cpu': '100m', 'memory': '16Mi'}}}]})
    where = {p['spec']['nodeName'] for p in c.own_pods('web')}
    assert len(where) == 2, 'a port can be had once on a node'
    assert [p['spec']['containers'][0]['ports'][0]['hostPort'] for p in c.own_pods('web')] == [18080] * 2
    busy, free = [c.node(name) for name in sorted(where)], next(n for n in c.nodes if n.name not in where)
    for n in busy:
        wait_for(lambda n=n: (readiness(n, 'web') or {}).get('reason') == 'host port is taken', 20, 'not on ' + n.name)
    wait_for(lambda: (readiness(free, 'web') or {}).get('ready'), 20, 'the third node could restore it')
    c.offline()
    lost = c.lose(busy[0])
    assert c.wait_copies(lost) == dict.fromkeys(lost, free.name)
    check_healthy(c)


@stage()
def test_a_token_of_an_account_of_its_own_is_told(c):
    def told(n, word):
        wait_for(lambda: word in ((readiness(n, 'web') or {}).get('reason') or ''), 20, '%s tells of %s' % (n.name, word))
        return readiness(n, 'web')['ready']
    c.run_web('web', 3, spec={'serviceAccountName': 'shop-operator'})
    for n in c.nodes:
        assert told(n, 'it has a token of ServiceAccount shop-operator') is True
        wait_for(lambda n=n: [h for h in n.history() if h['event'] == 'offline ready'], 20, 'once, in the history')
        assert len([h for h in n.history() if h['event'] == 'offline ready']) == 1
    n = c.nodes[0]
    c.config = dict(c.config, **{'heal.own_service_account': 'refuse'})
    n.write_config()
    wait_for(lambda: not readiness(n, 'web')['ready'], 20, 'refused where the configuration says so')
    assert told(n, 'heal.own_service_account') is False
    check_healthy(c)
