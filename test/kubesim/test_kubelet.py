"""The simulated kubelet as a child process: bound pods, static pods, the delete trap and the hang."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import Cluster, TestCase, pod_of

PODS = '/api/v1/namespaces/default/pods'


class Kubelet(TestCase):
    def setUp(self):
        self.c = Cluster('--speed', 10)
        self.api = self.c.api

    def tearDown(self):
        self.c.close()

    def events(self, event, name):
        return [r for r in self.c.journal('node1', event) if r.get('name') == name]

    def test_bound_pod_runs_and_ends(self):
        k = self.c.kubelet('node1')
        uid = self.api.post(PODS, pod_of('p', {'nodeName': 'node1'}))[1]['metadata']['uid']
        self.eventually(lambda: self.api.get(PODS + '/p')['status']['phase'] == 'Running')
        root = self.c.root('node1')
        cgroup = os.path.join(root, 'cgroup', 'kubepods', 'burstable', 'pod' + uid)
        with open(os.path.join(cgroup, 'cgroup.events')) as f:
            self.assertIn('populated 1', f.read())
        self.assertTrue(os.path.exists(os.path.join(root, 'logs', 'default_p_' + uid, 'c', '0.log')))
        k.kill()                                   # containers outlive the kubelet
        self.c.kubelet('node1')
        self.eventually(lambda: self.events('recovered', 'p'))
        self.assertTrue(os.path.isdir(cgroup))
        self.api.call('DELETE', PODS + '/p')
        self.eventually(lambda: self.api.call('GET', PODS + '/p')[0] == 404)
        self.assertFalse(os.path.exists(cgroup))

    def test_static_pods_start_together_and_are_mirrored(self):
        self.c.kubelet('node1', '--cpu', 8)
        began = time.time()
        for i in range(100):
            self.c.manifest('node1', 's%d' % i, uid='00000000-0000-0000-0000-%012d' % i)
        wrote = time.time()
        rows = self.eventually(lambda: [r for r in [self.c.journal('node1', 'running')] if len(r) == 100])[0]
        self.assertGreater(min(r['t'] for r in rows) - began, 0.19)
        self.assertLess(max(r['t'] for r in rows) - wrote, 3)      # one after the other: 20
        mirrors = self.eventually(lambda: [m for m in [self.api.pods()] if len(m) == 100])[0]
        self.assertEqual(mirrors[0]['metadata']['ownerReferences'][0]['kind'], 'Node')
        self.assertEqual(mirrors[0]['metadata']['annotations']['kubernetes.io/config.source'], 'file')
        self.assertNotIn('serviceAccountName', mirrors[0]['spec'])
        self.api.call('DELETE', PODS + '/s7-node1')    # a mirror comes back
        self.eventually(lambda: self.api.call('GET', PODS + '/s7-node1')[0] == 200 and len(self.events('mirror-created', 's7-node1')) == 2)
        os.unlink(os.path.join(self.c.root('node1'), 'manifests', 's7.json'))
        self.eventually(lambda: self.api.call('GET', PODS + '/s7-node1')[0] == 404)
        self.eventually(lambda: self.events('stop', 's7-node1'))

    def test_refused_and_denied_files(self):
        self.c.kubelet('node1')
        folder = os.path.join(self.c.root('node1'), 'manifests')
        with open(os.path.join(folder, 'bad.json'), 'w') as f:
            f.write('{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"serviceAccountName": "default", '
                    '"containers": [{"name": "c", "image": "i"}]}}')
        self.eventually(lambda: any('serviceaccounts' in r['message'] for r in self.c.journal('node1', 'refused')))
        with open(os.path.join(folder, 'yaml.yaml'), 'w') as f:
            f.write('apiVersion: v1\nkind: Pod\nmetadata:\n  name: y\nspec:\n  nodeSelector: {a: b}\n  containers:\n  - name: c\n    image: i\n')
        self.eventually(lambda: self.events('denied', 'y-node1'))
        self.eventually(lambda: self.api.get(PODS + '/y-node1').get('status', {}).get('reason') == 'NodeAffinity')

    def test_critical_pod_preempts(self):
        self.c.kubelet('node1', '--cpu', '1')
        spec = pod_of('x')['spec']
        spec['containers'][0]['resources'] = {'requests': {'cpu': '800m'}}
        self.api.post(PODS, pod_of('p', dict(spec, nodeName='node1')))
        self.eventually(lambda: self.events('running', 'p'))
        self.c.manifest('node1', 's', spec=spec)
        self.eventually(lambda: self.events('running', 's-node1'))
        self.eventually(lambda: self.api.get(PODS + '/p')['status'].get('reason') == 'Preempting')

    def test_offline_start_adds_but_does_not_delete(self):
        proxy = self.c.proxy()
        proxy.mode('refuse')
        self.c.kubelet('node1', address=proxy.address)
        wrote = self.c.manifest('node1', 's')
        self.eventually(lambda: self.events('running', 's-node1'))
        self.assertLess(self.events('running', 's-node1')[0]['t'] - wrote, 0.6)
        os.unlink(os.path.join(self.c.root('node1'), 'manifests', 's.json'))
        time.sleep(1)
        self.assertEqual(self.events('stop', 's-node1'), [])
        proxy.mode('pass')
        self.eventually(lambda: self.events('stop', 's-node1'), 15)

    def test_hang_in_a_blackhole_and_its_end(self):
        proxy = self.c.proxy()
        self.c.kubelet('node1', '--hang-seconds', 3, address=proxy.address)
        self.eventually(lambda: self.api.call('GET', '/api/v1/nodes/node1')[0] == 200)
        time.sleep(0.5)
        proxy.mode('blackhole')
        wrote = self.c.manifest('node1', 'a')
        self.eventually(lambda: self.events('running', 'a-node1'))
        self.assertGreater(self.events('running', 'a-node1')[0]['t'] - wrote, 2.9)
        wrote = self.c.manifest('node1', 'b')      # hangs too, until its connection is destroyed
        time.sleep(1)
        self.assertEqual(self.events('running', 'b-node1'), [])
        proxy.mode('refuse')
        self.eventually(lambda: self.events('running', 'b-node1'))
        self.assertLess(self.events('running', 'b-node1')[0]['t'] - wrote, 1.6)
        wrote = self.c.manifest('node1', 'c')      # refused: at once
        self.eventually(lambda: self.events('running', 'c-node1'))
        self.assertLess(self.events('running', 'c-node1')[0]['t'] - wrote, 0.6)
        os.unlink(os.path.join(self.c.root('node1'), 'manifests', 'c.json'))
        self.eventually(lambda: self.events('stop', 'c-node1'))    # no trap: it has known the API server

    def test_reboot_offline_starts_static_pods_only(self):
        proxy = self.c.proxy()
        k = self.c.kubelet('node1', address=proxy.address)
        self.api.post(PODS, pod_of('p', {'nodeName': 'node1'}))
        self.c.manifest('node1', 's')
        self.eventually(lambda: self.events('running', 'p') and self.events('running', 's-node1'))
        k.kill()
        proxy.mode('refuse')
        self.c.kubelet('node1', '--reboot', address=proxy.address)
        self.eventually(lambda: len(self.events('running', 's-node1')) == 2)
        self.assertEqual(len(self.events('running', 'p')), 1)
        proxy.mode('pass')
        self.eventually(lambda: len(self.events('running', 'p')) == 2, 15)

    def test_two_files_one_name(self):
        self.c.kubelet('node1')
        folder = os.path.join(self.c.root('node1'), 'manifests')
        self.c.manifest('node1', 's', uid='u-1')
        self.eventually(lambda: self.events('running', 's-node1'))
        os.rename(self._second(folder), os.path.join(folder, 't.json'))
        self.eventually(lambda: len(self.events('running', 's-node1')) == 2)      # the later wins
        self.assertEqual(self.events('running', 's-node1')[1]['uid'], 'u-2')
        os.unlink(os.path.join(folder, 's.json'))                                # either one's end is the pod's
        self.eventually(lambda: len(self.events('stop', 's-node1')) == 2)

    @staticmethod
    def _second(folder):
        with open(os.path.join(folder, 's.json')) as f:
            text = f.read()
        path = os.path.join(folder, '.second')
        with open(path, 'w') as f:
            f.write(text.replace('u-1', 'u-2'))
        return path
