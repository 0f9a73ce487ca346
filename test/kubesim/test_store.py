"""Lists and watches against a real server process: versions, pages, bookmarks, 410, and faults on request."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import Api, Cluster, TestCase, pod_of

PODS = '/api/v1/namespaces/default/pods'


class Lists(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = Cluster('--bare', '--speed', 60, '--history', 50, '--seed-nodes', 3, '--seed-replicasets', 2, '--seed-pods', 20)
        cls.api = cls.c.api

    @classmethod
    def tearDownClass(cls):
        cls.c.close()

    def tearDown(self):
        self.api.call('DELETE', '/kubesim/faults')

    def test_pages_are_one_snapshot(self):
        first = self.api.get('/api/v1/pods?limit=7')
        gone = first['items'][-1]['metadata']['name']
        token, names = first['metadata']['continue'], [i['metadata']['name'] for i in first['items']]
        extra = self.api.post(PODS, pod_of('aaa-between'))[1]['metadata']['name']
        while token:
            page = self.api.get('/api/v1/pods?limit=7&continue=' + token)
            names += [i['metadata']['name'] for i in page['items']]
            self.assertEqual(page['metadata']['resourceVersion'], first['metadata']['resourceVersion'])
            token = page['metadata'].get('continue')
        self.assertNotIn(extra, names)
        self.assertIn(gone, names)
        self.assertEqual(len(names), len(set(names)))
        self.api.call('DELETE', PODS + '/' + extra)

    def test_expired_token_and_version(self):
        page = self.api.get('/api/v1/pods?limit=5')
        self.api.post('/kubesim/expire', {})
        code, doc = self.api.call('GET', '/api/v1/pods?limit=5&continue=' + page['metadata']['continue'])
        self.assertEqual((code, doc['reason']), (410, 'Expired'))
        events = self.api.watch('/api/v1/pods?resourceVersion=' + page['metadata']['resourceVersion'], 1)
        self.assertEqual([(t, o['code'], o['reason']) for t, o in events], [('ERROR', 410, 'Expired')])

    def test_a_restored_backup_takes_objects_and_versions_back(self):
        kept = self.api.post(PODS, pod_of('kept'))[1]['metadata']
        self.api.post('/kubesim/backup', {})
        gone = self.api.post(PODS, pod_of('gone'))[1]['metadata']
        self.api.call('DELETE', PODS + '/kept')
        future = self.api.get('/api/v1/pods')['metadata']['resourceVersion']
        self.api.post('/kubesim/restore', {})
        self.assertEqual(self.api.call('GET', PODS + '/gone')[0], 404)
        again = self.api.get(PODS + '/kept')['metadata']
        self.assertEqual((again['uid'], again['resourceVersion']), (kept['uid'], kept['resourceVersion']))
        self.assertLess(int(self.api.get('/api/v1/pods')['metadata']['resourceVersion']), int(gone['resourceVersion']))
        self.assertEqual(self.api.watch('/api/v1/pods?allowWatchBookmarks=true&resourceVersion=' + future, 2), [])
        self.api.call('DELETE', PODS + '/kept')

    def test_history_is_bounded(self):
        rv = self.api.get('/api/v1/pods')['metadata']['resourceVersion']
        for i in range(30):
            self.api.post(PODS, pod_of('h-%d' % i))
            self.api.call('DELETE', PODS + '/h-%d' % i)
        self.assertEqual(self.api.watch('/api/v1/pods?resourceVersion=' + rv, 1)[0][0], 'ERROR')

    def test_resumed_watch_replays_each_event(self):
        rv = self.api.get('/api/v1/pods')['metadata']['resourceVersion']
        names = [self.api.post(PODS, pod_of('resume-%d' % i))[1]['metadata']['name'] for i in range(3)]
        events = self.api.watch('/api/v1/pods?resourceVersion=' + rv, 1)
        self.assertEqual([o['metadata']['name'] for t, o in events if t == 'ADDED'], names)
        for name in names:
            self.api.call('DELETE', PODS + '/' + name)

    def test_bookmarks_and_initial_events(self):
        query = '/api/v1/pods?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true'
        events = self.api.watch(query, 2)
        marks = [i for i, (t, _) in enumerate(events) if t == 'BOOKMARK']
        self.assertEqual(events[marks[0]][1]['metadata']['annotations'], {'k8s.io/initial-events-end': 'true'})
        self.assertTrue(all(t == 'ADDED' for t, _ in events[:marks[0]]))
        self.assertGreaterEqual(len(marks), 2)     # --speed 60: a bookmark each second
        self.assertNotIn('annotations', events[marks[1]][1]['metadata'])

    def test_managed_fields_and_size(self):
        code, data = self.api.raw('GET', '/api/v1/pods?limit=1')
        self.assertIn(b'"managedFields":[{', data)
        self.assertGreater(len(data), 3000)

    def test_status_faults(self):
        mine = Api(self.c.url, 'victim/1')
        for status, reason in ((429, 'TooManyRequests'), (500, 'InternalError'), (410, 'Expired')):
            self.api.post('/kubesim/faults', {'match': {'client': 'victim', 'path': 'pods'}, 'action': 'status', 'status': status, 'retryAfter': 1, 'times': 1})
            code, doc = mine.call('GET', '/api/v1/pods')
            self.assertEqual((code, doc['reason']), (status, reason))
            self.assertEqual(mine.call('GET', '/api/v1/pods')[0], 200)

    def test_refuse_and_blackhole_reach_only_their_client(self):
        mine = Api(self.c.url, 'victim/1')
        self.api.post('/kubesim/faults', {'match': {'client': 'victim'}, 'action': 'refuse'})
        with self.assertRaises(OSError):
            mine.get('/version')
        self.assertEqual(self.api.call('GET', '/version')[0], 200)
        self.api.call('DELETE', '/kubesim/faults')
        self.api.post('/kubesim/faults', {'match': {'client': 'victim'}, 'action': 'blackhole'})
        with self.assertRaises(TimeoutError):
            mine.call('GET', '/version', timeout=0.5)
        self.api.call('DELETE', '/kubesim/faults')
        self.assertEqual(mine.call('GET', '/version')[0], 200)

    def test_blackhole_thaws_a_waiting_request(self):
        mine, got = Api(self.c.url, 'victim/1'), []
        self.api.post('/kubesim/faults', {'match': {'client': 'victim'}, 'action': 'blackhole'})
        t = threading.Thread(target=lambda: got.append(mine.call('GET', '/version')[0]))
        t.start()
        time.sleep(0.3)
        self.assertEqual(got, [])
        self.api.call('DELETE', '/kubesim/faults')
        t.join(5)
        self.assertEqual(got, [200])

    def test_half_line_and_slow_body_and_delay(self):
        import http.client
        self.api.post('/kubesim/faults', {'match': {'path': 'watch=true'}, 'action': 'half-watch-line', 'times': 1})
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.api.raw('GET', '/api/v1/nodes?watch=true&timeoutSeconds=1')
        self.assertFalse(caught.exception.partial.endswith(b'}\n'))
        self.api.post('/kubesim/faults', {'match': {'path': '^/api/v1/nodes'}, 'action': 'slow-body', 'bytes': 2000, 'delayMs': 50, 'times': 1})
        began = time.monotonic()
        self.assertEqual(len(self.api.get('/api/v1/nodes')['items']), 3)
        self.assertGreater(time.monotonic() - began, 0.1)
        self.api.post('/kubesim/faults', {'action': 'delay', 'delayMs': 300, 'times': 1})
        began = time.monotonic()
        self.api.get('/version')
        self.assertGreater(time.monotonic() - began, 0.29)


class OldServer(TestCase):
    def test_without_watchlist_and_with_token(self):
        c = Cluster('--bare', '--no-watchlist', '--token', 'secret')
        try:
            bearer = {'Authorization': 'Bearer secret'}
            self.assertEqual(c.api.call('GET', '/api/v1/pods')[0], 401)
            self.assertEqual(c.api.call('GET', '/api/v1/pods', headers={'Authorization': 'Bearer no'})[0], 401)
            self.assertEqual(c.api.call('GET', '/api/v1/pods', headers=bearer)[0], 200)
            query = '/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true'
            code, doc = c.api.call('GET', query, headers=bearer)
            self.assertEqual((code, doc['reason']), (422, 'Invalid'))
        finally:
            c.close()
