"""The controllers at high speed, with simulated kubelets as child processes."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import Cluster, TestCase, pod_of, workload

PODS = '/api/v1/namespaces/default/pods'
APPS = '/apis/apps/v1/namespaces/default/'
MERGE = 'application/merge-patch+json'


def ready(pod):
    return any(c['type'] == 'Ready' and c['status'] == 'True' for c in (pod.get('status') or {}).get('conditions') or [])


class Controllers(TestCase):
    def setUp(self):
        self.c = Cluster('--speed', 50)
        self.api = self.c.api
        for i in (1, 2):
            self.c.kubelet('node%d' % i, '--node-ip', '127.0.0.1%d' % i, '--lease-seconds', 0.2, '--status-seconds', 0.2)

    def tearDown(self):
        self.c.close()

    def running(self, n, node=None):
        pods = [p for p in self.api.pods('?labelSelector=app%3Dweb') if ready(p) and 'deletionTimestamp' not in p['metadata']]
        return [p for p in pods if node in (None, p['spec']['nodeName'])] if len(pods) == n else None

    def test_deployment_rolls_scales_and_goes(self):
        self.assertEqual(self.api.post(APPS + 'deployments', workload('Deployment', 'web', 4))[0], 201)
        self.eventually(lambda: self.running(4))
        d = self.eventually(lambda: next((d for d in [self.api.get(APPS + 'deployments/web')] if d['status'].get('availableReplicas') == 4), None))
        self.assertEqual(d['metadata']['annotations']['deployment.kubernetes.io/revision'], '1')
        self.assertEqual({p['spec']['nodeName'] for p in self.running(4)}, {'node1', 'node2'})
        self.api.call('PATCH', APPS + 'deployments/web', {'spec': {'template': {'metadata': {'annotations': {'v': '2'}}}}}, MERGE)
        self.eventually(lambda: self.running(4) and all((p['metadata'].get('annotations') or {}).get('v') == '2' for p in self.running(4) or []))
        self.api.call('PATCH', APPS + 'deployments/web/scale', {'spec': {'replicas': 1}}, MERGE)
        self.eventually(lambda: self.running(1))
        sets = self.api.get(APPS + 'replicasets')['items']
        self.assertEqual(sorted(rs['spec']['replicas'] for rs in sets), [0, 1])
        self.api.call('DELETE', APPS + 'deployments/web')
        self.eventually(lambda: not self.api.pods() and not self.api.get(APPS + 'replicasets')['items'])

    def test_dead_node_is_tainted_and_evicted(self):
        self.api.post(APPS + 'replicasets', workload('ReplicaSet', 'web', 4))
        self.eventually(lambda: self.running(4))
        self.c.children[2].kill()                  # node2; its pods tolerate it for 300 s / 50
        node = self.eventually(lambda: next((n for n in [self.api.get('/api/v1/nodes/node2')] if len(n['spec'].get('taints') or []) == 2), None))
        self.assertEqual({t['key'] for t in node['spec']['taints']}, {'node.kubernetes.io/unreachable'})
        self.assertEqual([c['reason'] for c in node['status']['conditions'] if c['type'] == 'Ready'], ['NodeStatusUnknown'])
        self.eventually(lambda: len(self.running(4, 'node1') or []) == 4, 15)
        left = [p for p in self.api.pods() if p['spec']['nodeName'] == 'node2']
        self.assertEqual([bool(p['metadata'].get('deletionTimestamp')) for p in left], [True, True])   # until somebody confirms
        self.c.kubelet('node2', '--reboot', '--node-ip', '127.0.0.12', '--lease-seconds', 0.2, '--status-seconds', 0.2)
        self.eventually(lambda: not [p for p in self.api.pods() if p['spec']['nodeName'] == 'node2'])
        self.eventually(lambda: 'taints' not in self.api.get('/api/v1/nodes/node2')['spec'])

    def test_scheduler_off_and_budget(self):
        self.assertFalse(self.api.post('/kubesim/scheduler', {'enabled': False})[1]['enabled'])
        self.api.post(APPS + 'replicasets', workload('ReplicaSet', 'web', 1))
        pod = self.eventually(lambda: (self.api.pods() or [None])[0])
        name = pod['metadata']['name']
        self.assertTrue(any(v['name'].startswith('kube-api-access-') for v in pod['spec']['volumes']))
        self.assertEqual(pod['spec']['tolerations'][0]['tolerationSeconds'], 300)
        code, _ = self.api.post(PODS + '/%s/binding' % name, {'metadata': {'name': name, 'uid': pod['metadata']['uid']}, 'target': {'kind': 'Node', 'name': 'node1'}})
        self.assertEqual(code, 201)
        self.eventually(lambda: self.running(1))
        self.api.post('/apis/policy/v1/namespaces/default/poddisruptionbudgets', {
            'metadata': {'name': 'b'}, 'spec': {'minAvailable': 1, 'selector': {'matchLabels': {'app': 'web'}}}})
        self.eventually(lambda: self.api.get('/apis/policy/v1/namespaces/default/poddisruptionbudgets/b')['status']['currentHealthy'] == 1)
        self.assertEqual(self.api.post(PODS + '/%s/eviction' % name, {'metadata': {'name': name}})[0], 429)

    def test_unschedulable_says_why(self):
        self.api.post(PODS, pod_of('big', {'nodeSelector': {'no': 'such'}}))
        cond = self.eventually(lambda: [c for c in self.api.get(PODS + '/big')['status'].get('conditions') or [] if c['type'] == 'PodScheduled'])
        self.assertEqual((cond[0]['status'], cond[0]['reason']), ('False', 'Unschedulable'))
        self.assertIn("didn't match Pod's node affinity", cond[0]['message'])

    def test_orphans_are_adopted(self):
        self.api.post(PODS, pod_of('alone', labels={'app': 'web'}))
        self.api.post(APPS + 'replicasets', workload('ReplicaSet', 'web', 2))
        self.eventually(lambda: self.running(2))
        alone = self.api.get(PODS + '/alone')
        self.assertEqual(alone['metadata']['ownerReferences'][0]['kind'], 'ReplicaSet')
