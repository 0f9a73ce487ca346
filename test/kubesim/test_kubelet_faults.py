"""The simulated kubelet in trouble: connections destroyed under it, frozen pods, pods that vanish, restarts without an API server."""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import Api, Cluster, Process, TestCase, pod_of, workload

PODS = '/api/v1/namespaces/default/pods'


class Faults(TestCase):
    def setUp(self):
        self.c = Cluster('--speed', 10)
        self.api = self.c.api

    def tearDown(self):
        self.c.close()

    def events(self, event, name):
        return [r for r in self.c.journal('node1', event) if r.get('name') == name]

    def node_known(self):
        return self.api.call('GET', '/api/v1/nodes/node1')[0] == 200

    def unlink(self, name):
        os.unlink(os.path.join(self.c.root('node1'), 'manifests', name + '.json'))

    def cgroup(self, uid, file):
        return os.path.join(self.c.root('node1'), 'cgroup', 'kubepods', 'burstable', 'pod' + uid, file)

    def write(self, uid, file, text):
        with open(self.cgroup(uid, file), 'w') as f:
            f.write(text)
        return time.time()

    def ask(self, line):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(os.path.join(self.c.root('node1'), 'control'))
            s.sendall(line.encode() + b'\n')
            return s.recv(200).decode().strip()

    def test_started_in_a_black_hole_it_does_not_hang(self):
        proxy = self.c.proxy()
        proxy.mode('blackhole')
        self.c.kubelet('node1', address=proxy.address)
        wrote = self.c.manifest('node1', 's')
        self.eventually(lambda: self.events('running', 's-node1'))
        self.assertLess(self.events('running', 's-node1')[0]['t'] - wrote, 0.6)
        self.assertEqual(self.events('hung', 's-node1'), [])

    def test_a_destroyed_connection_ends_the_wait_and_is_not_tried_again(self):
        proxy = self.c.proxy()
        self.c.kubelet('node1', address=proxy.address)
        self.eventually(self.node_known)
        time.sleep(0.3)
        proxy.mode('blackhole')
        wrote = self.c.manifest('node1', 's')
        time.sleep(1)
        self.assertEqual(self.events('running', 's-node1'), [])
        proxy.mode('refuse')                       # resets what hangs; the black hole is there again before anybody can be refused
        proxy.mode('blackhole')
        self.eventually(lambda: self.events('running', 's-node1'), 3)
        self.assertLess(self.events('running', 's-node1')[0]['t'] - wrote, 2)

    def test_a_frozen_pod_stays_and_goes_when_the_api_is_back(self):
        proxy = self.c.proxy()
        proxy.mode('refuse')
        self.c.kubelet('node1', '--grace-cap', 1, address=proxy.address)
        self.c.manifest('node1', 's', uid='u-1')
        self.eventually(lambda: self.events('running', 's-node1'))
        at = self.write('u-1', 'cgroup.freeze', '1')
        frozen = self.eventually(lambda: self.events('frozen', 's-node1'))[0]
        self.assertLess(abs(frozen['t'] - at), 0.05)           # when it was written, not when it was seen
        with open(self.cgroup('u-1', 'cgroup.events')) as f:
            self.assertIn('populated 1\nfrozen 1', f.read())
        self.write('u-1', 'cgroup.freeze', '0')
        self.eventually(lambda: self.events('thawed', 's-node1'))
        self.write('u-1', 'cgroup.freeze', '1')
        self.eventually(lambda: len(self.events('frozen', 's-node1')) == 2)
        self.unlink('s')
        time.sleep(0.5)
        self.assertEqual(self.events('stopping', 's-node1'), [])
        proxy.mode('pass')
        self.eventually(lambda: self.events('stop', 's-node1'), 15)
        self.assertFalse(os.path.exists(self.cgroup('u-1', '')))

    def test_a_new_kubelet_sees_what_is_frozen_even_pods_it_does_not_know_yet(self):
        proxy = self.c.proxy()
        k = self.c.kubelet('node1', address=proxy.address)
        uid = self.api.post(PODS, pod_of('p', {'nodeName': 'node1'}))[1]['metadata']['uid']
        self.eventually(lambda: self.events('running', 'p'))
        k.kill()
        proxy.mode('refuse')
        self.c.kubelet('node1', address=proxy.address)         # without power loss: its containers run on
        self.eventually(lambda: len(self.c.journal('node1', 'boot')) == 2)
        self.assertTrue(os.path.isdir(self.cgroup(uid, '')))
        self.assertEqual(self.events('stop', 'p'), [])
        self.write(uid, 'cgroup.freeze', '1')
        self.eventually(lambda: [r for r in self.c.journal('node1', 'frozen') if r['uid'] == uid])

    def test_v1_freezer(self):
        self.c.kubelet('node1', '--cgroup-style', 'v1')
        self.c.manifest('node1', 's', uid='u-1')
        self.eventually(lambda: self.events('running', 's-node1'))
        self.write('u-1', 'freezer.state', 'FROZEN')
        self.eventually(lambda: self.events('frozen', 's-node1'))
        self.write('u-1', 'freezer.state', 'THAWED')
        self.eventually(lambda: self.events('thawed', 's-node1'))

    def test_v1_does_not_kill_what_is_frozen(self):
        self.c.kubelet('node1', '--cgroup-style', 'v1', '--grace-cap', 0.2)
        self.c.manifest('node1', 's', uid='u-1')
        self.eventually(lambda: self.events('running', 's-node1'))
        self.write('u-1', 'freezer.state', 'FROZEN')
        self.eventually(lambda: self.events('frozen', 's-node1'))
        self.unlink('s')
        self.eventually(lambda: self.events('stopping', 's-node1'))
        time.sleep(1)
        self.assertEqual(self.events('stop', 's-node1'), [])
        self.write('u-1', 'freezer.state', 'THAWED')
        self.eventually(lambda: self.events('stop', 's-node1'))

    def test_a_stiff_pod_is_frozen_when_it_relaxes(self):
        self.c.kubelet('node1')
        self.c.manifest('node1', 's', uid='u-1')
        self.eventually(lambda: self.events('running', 's-node1'))
        self.assertEqual(self.ask('stiffen default s-node1'), 'ok')
        self.write('u-1', 'cgroup.freeze', '1')
        time.sleep(0.5)
        with open(self.cgroup('u-1', 'cgroup.events')) as f:
            self.assertEqual(f.read(), 'populated 1\nfrozen 0\n')
        self.assertEqual(self.ask('relax default s-node1'), 'ok')
        self.eventually(lambda: self.events('frozen', 's-node1'))

    def test_a_pod_that_starts_has_a_cgroup_with_nothing_in_it(self):
        self.c.kubelet('node1', '--start-ms', 3000)
        self.assertTrue(os.path.isdir(os.path.join(self.c.root('node1'), 'cgroup', 'kubepods', 'besteffort')))
        self.c.manifest('node1', 's', uid='u-1')
        self.eventually(lambda: os.path.exists(self.cgroup('u-1', 'cgroup.events')))
        time.sleep(0.3)
        with open(self.cgroup('u-1', 'cgroup.events')) as f:
            self.assertEqual(f.read(), 'populated 0\nfrozen 0\n')
        self.eventually(lambda: self.events('running', 's-node1'), 5)

    def test_a_pod_vanishes_and_is_not_restarted_until_asked(self):
        self.c.kubelet('node1')
        uid = self.api.post(PODS, pod_of('p', {'nodeName': 'node1'}))[1]['metadata']['uid']
        self.eventually(lambda: self.api.get(PODS + '/p')['status']['phase'] == 'Running')

        def ready():
            return next(c['status'] for c in self.api.get(PODS + '/p')['status']['conditions'] if c['type'] == 'Ready')
        self.assertEqual(self.ask('vanish default p'), 'ok')
        self.eventually(lambda: ready() == 'False')
        self.assertFalse(os.path.exists(self.cgroup(uid, '')))
        self.assertTrue(self.ask('vanish default p').startswith('error'))
        self.assertEqual(len(self.events('vanished', 'p')), 1)
        self.assertEqual(self.ask('return default p'), 'ok')
        self.eventually(lambda: ready() == 'True')

    def test_lease_and_pid_file(self):
        k = self.c.kubelet('node1', '--lease-seconds', 0.5)
        with open(os.path.join(self.c.root('node1'), 'kubelet.pid')) as f:
            self.assertEqual(int(f.read()), k.p.pid)
        lease = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node1'
        self.eventually(lambda: self.api.call('GET', lease)[0] == 200)
        first = self.api.get(lease)['spec']['renewTime']
        self.eventually(lambda: self.api.get(lease)['spec']['renewTime'] != first, 3)


class Persistence(TestCase):
    def test_a_server_that_ends_comes_back_with_the_same_objects(self):
        c = Cluster()
        self.addCleanup(c.close)
        data = os.path.join(c.dir, 'data')
        first = Process('apiserver.py', '--listen', '127.0.0.1:0', '--data', data)
        api = Api(first.first.split()[-1])
        api.post('/apis/apps/v1/namespaces/default/replicasets', workload('ReplicaSet', 'web', 2))
        pods = self.eventually(lambda: [p for p in [api.pods()] if len(p) == 2])[0]
        first.p.terminate()
        first.p.wait()
        first.kill()
        second = Process('apiserver.py', '--listen', '127.0.0.1:0', '--data', data)
        self.addCleanup(second.kill)
        api = Api(second.first.split()[-1])
        time.sleep(0.5)                            # its controllers find nothing to do
        self.assertEqual({p['metadata']['uid'] for p in api.pods()}, {p['metadata']['uid'] for p in pods})
        old = api.watch('/api/v1/pods?resourceVersion=%s' % pods[0]['metadata']['resourceVersion'], 1)
        self.assertEqual(old[0][1]['code'], 410)
