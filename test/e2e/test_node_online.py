"""A node dies while the API server answers: the cluster replaces its pods at once, and the taint goes when the node is back."""
import time

from machine import patient
from stage import is_ready, stage, wait_for

TAINT = 'edge-healer.io/unreachable'


def taints(c, node):
    return [t['key'] for t in c.api.get('/api/v1/nodes/' + node.name)['spec'].get('taints') or []]


@stage(speed=1)
def test_power_loss_with_the_api_up_is_healed_in_seconds(c):
    c.run_web(replicas=6)
    victim = c.busiest()
    c.wait_mirrored([p['metadata']['uid'] for p in c.own_pods('web')])
    began = time.monotonic()
    lost = c.lose(victim)
    alive = {n.name for n in c.living()}

    def replaced():
        own = [p for p in c.own_pods('web') if is_ready(p) and p['spec']['nodeName'] in alive]
        return len(own) == 6 and own
    own = wait_for(replaced, 40, 'six pods on the living nodes')
    took = time.monotonic() - began
    assert not {p['metadata']['uid'] for p in own} & set(lost), 'they are new pods'
    assert took < 40, took                    # without us: 352 s
    assert TAINT in taints(c, victim)
    assert not c.files(), 'no static pod while the API server answers: %s' % c.files()
    wait_for(lambda: len({r['pod'] for r in c.rows('lost pod deleted')}) == len(lost), 10, 'each lost pod was deleted')
    victim.power_on()
    wait_for(lambda: TAINT not in taints(c, victim), 40, 'the taint to go')


@stage(speed=1)
def test_a_node_whose_lease_is_renewed_is_left_alone(c):
    """Its serf and its ports are gone, its kubelet still renews the Lease: the API server knows better than gossip."""
    c.run_web(replicas=6)
    victim = c.busiest()
    for part in ('serf', 'healer'):
        victim.parts[part].kill()
    victim.parts['kubelet'].kill()
    deadline = time.monotonic() + patient(25)
    lease = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/' + victim.name
    refuted = False
    while time.monotonic() < deadline and not refuted:
        now = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime()) + '.000000Z'
        code, body = c.api.call('PATCH', lease, {'spec': {'renewTime': now}}, 'application/merge-patch+json')
        assert code == 200, body
        refuted = any(s['node'] == victim.name and 'Lease' in s['note'] for n in c.living()
                      for s in (n.http('/v1/status') or {}).get('suspects', []))
        time.sleep(0.5)
    assert refuted, 'nobody read its Lease'
    assert TAINT not in taints(c, victim)
    assert not c.rows('lost pod deleted')
