"""Kubernetes Events: what happened in an outage is told when the link allows, whoever is killed meanwhile, and each thing once."""
import collections
import json
import urllib.parse

from cluster import Process
from killed import arm, deaths, waiting
from stage import Skip, check_healthy, stage, wait_for


def events(c, reason=None):
    """Those of this site: of its namespace, and about its nodes."""
    names = {n.name for n in c.nodes}
    found = c.api.get('/api/v1/namespaces/%s/events' % c.ns)['items']
    found += [e for e in c.api.get('/api/v1/namespaces/default/events')['items'] if e['involvedObject']['name'] in names]
    return [e for e in found if e['reportingComponent'] == 'edge-healer' and reason in (None, e['reason'])]


def check_once(c):
    """No word is there twice: the time is when it was said."""
    told = collections.Counter((e['reason'], e['involvedObject']['name'], e['reportingInstance'], e['eventTime']) for e in events(c))
    twice = [k for k, n in told.items() if n > 1]
    assert not twice, twice


def wait_told(c, reason, uids, seconds=30):
    wait_for(lambda: {e['involvedObject']['uid'] for e in events(c, reason)} >= set(uids), seconds, '%s is told for all %d' % (reason, len(uids)))


@stage()
def test_events_of_an_outage_outlive_two_kills_and_are_told_once(c):
    c.run_web(replicas=6)
    c.offline()
    victim = c.busiest()
    node = c.api.get('/api/v1/nodes/' + victim.name)['metadata']['uid']
    lost = c.lose(victim)
    where = c.wait_copies(lost)
    for n in c.living():
        wait_for(lambda n=n: waiting(n).count('Restored') == list(where.values()).count(n.name), 5, 'what is told waits in the store')
        assert 'NodeLost' in waiting(n), waiting(n)
    armed = {n: 'event.sent' for n in c.living()}
    arm(c, armed)                             # killed in the outage, and again between an Event's sending and its deletion
    c.wait_link('offline')
    assert not events(c, 'Restored')
    c.mend_uplink()
    deaths(c, armed)
    wait_told(c, 'Restored', lost)
    wait_told(c, 'NodeLost', [node])          # kubectl describe node asks for its uid
    c.wait_handover()
    wait_told(c, 'HandedOver', lost)
    wait_for(lambda: not any(waiting(n) for n in c.living()), 15, 'nothing waits any more')
    check_once(c)
    check_healthy(c)


@stage(nodes=1)
def test_an_event_that_was_not_taken_is_sent_again(c):
    """The link does not change meanwhile: only this call is answered 503, as often as the client itself tries it."""
    if c.given_kubeconfig:
        raise Skip('a real API server has no such fault')
    n = c.nodes[0]
    code, body = c.api.call('POST', '/kubesim/faults', {'match': {'method': 'POST', 'path': '/events'}, 'action': 'status', 'status': 503,
                                                        'times': 3})
    assert code == 200, body
    began = n.http('/v1/status')['link']['since']
    c.deploy('never', 1, annotations={'edge-healer.io/policy': 'never'})
    wait_for(lambda: waiting(n) == ['NotOfflineReady'], 30, 'it waits')
    wait_for(lambda: events(c, 'NotOfflineReady'), 40, 'it is sent')
    wait_for(lambda: not waiting(n), 5, 'and forgotten')
    assert n.http('/v1/status')['link']['since'] == began


@stage(nodes=1)
def test_a_standby_without_credentials_leaves_its_events_to_the_next(c):
    if c.given_kubeconfig:
        raise Skip('needs a server without TLS')
    n = c.nodes[0]
    c.run_web(replicas=2)
    mine = c.pods_on(n)
    c.offline()
    n.power_off()
    with open(n.path('kubeconfig')) as f:
        server = json.load(f)['clusters'][0]['cluster']['server']
    before, c.config = c.config, dict(c.config, **{'kube.kubeconfig': '', 'kube.server': server})
    n.write_config()
    c.config = before
    n._new_boot_id()
    n.start_serf()
    n.start_kubelet()
    n.parts['standby'] = Process('standby', [c.binary, 'agent', '--standby', '--config', n.path('edge-healer.yaml')],
                                 n.path('standby.log'), {'KUBERNETES_SERVICE_HOST': urllib.parse.urlsplit(server).hostname})
    wait_for(lambda: len([r for r in n.runs() if r['orig'] in mine and not r['end']]) == 2, 45, 'the standby brings them back')
    wait_for(lambda: waiting(n).count('Restored') == 2, 10, 'it tells nobody yet')
    c.mend_uplink()
    wait_for(lambda: (n.http('/v1/status') or {}).get('link', {}).get('state') == 'online', 20, 'it sees the API server')
    assert waiting(n).count('Restored') == 2 and not events(c, 'Restored')
    n.start_healer()                          # kubelet starts the DaemonSet's pod
    wait_for(lambda: (n.http('/v1/status') or {}).get('role') == 'primary', 20, 'the primary works')
    wait_told(c, 'Restored', mine)
    check_once(c)
