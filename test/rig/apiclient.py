"""The tests' own clients of an API server: single calls by kubeconfig, and a watch that is followed in a thread."""
import atexit
import base64
import contextlib
import http.client
import json
import os
import ssl
import sys
import tempfile
import threading
import time
import urllib.parse

KUBESIM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'kubesim')
sys.path.insert(0, KUBESIM)
import yaml_lite  # noqa: E402


class Api:
    """A blocking JSON client of an API server, by kubeconfig. Its connections are opened `within()`: a network namespace, say."""

    def __init__(self, kubeconfig, within=contextlib.nullcontext):
        self.within = within
        with open(kubeconfig) as f:
            self.config = yaml_lite.load(f.read())
        context = next(c['context'] for c in self.config['contexts'] if c['name'] == self.config['current-context'])
        self.cluster = next(c['cluster'] for c in self.config['clusters'] if c['name'] == context['cluster'])
        self.user = next((u.get('user') or {} for u in self.config['users'] if u['name'] == context['user']), {})
        self.url = urllib.parse.urlsplit(self.cluster['server'])
        self.tls = self._tls() if self.url.scheme == 'https' else None

    def _file(self, where, key):
        """A path for KEY or KEY-data."""
        if where.get(key + '-data'):
            f = tempfile.NamedTemporaryFile(delete=False)
            f.write(base64.b64decode(where[key + '-data']))
            f.close()
            atexit.register(lambda: os.path.exists(f.name) and os.unlink(f.name))
            return f.name
        return where.get(key)

    def _tls(self):
        ca = self._file(self.cluster, 'certificate-authority')
        tls = ssl.create_default_context(cafile=ca) if ca else ssl._create_unverified_context()
        cert, key = self._file(self.user, 'client-certificate'), self._file(self.user, 'client-key')
        if cert:
            tls.load_cert_chain(cert, key)
        return tls

    def headers(self, **more):
        headers = dict({'Accept': 'application/json', 'User-Agent': 'test-client'}, **more)
        if self.user.get('token'):
            headers['Authorization'] = 'Bearer ' + self.user['token']
        return headers

    def connection(self, timeout=10):
        kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        c = kind(self.url.hostname, self.url.port, timeout=timeout, **({'context': self.tls} if self.tls else {}))
        with self.within():
            c.connect()
        return c

    def call(self, method, path, body=None, ctype='application/json'):
        c = self.connection()
        headers = self.headers(**{'Content-Type': ctype})
        with contextlib.closing(c):
            c.request(method, path, None if body is None else json.dumps(body), headers)
            r = c.getresponse()
            data = r.read()
        try:
            return r.status, json.loads(data)
        except ValueError:
            return r.status, {'text': data.decode('utf8', 'replace')}

    def get(self, path):
        return self.call('GET', path)[1]

    def pods(self, ns, labels=''):
        return self.get('/api/v1/namespaces/%s/pods?labelSelector=%s' % (ns, urllib.parse.quote(labels)))['items']


class PodWatch:
    """Follows the pods of a namespace in a thread: `rows` grows by (wall time of arrival, ADDED|MODIFIED|DELETED, pod)."""

    def __init__(self, api, ns):
        self.rows = []
        path = '/api/v1/namespaces/%s/pods' % ns
        version = api.get(path)['metadata']['resourceVersion']
        self.conn = api.connection(timeout=600)
        self.conn.request('GET', '%s?watch=1&resourceVersion=%s' % (path, version), headers=api.headers())
        threading.Thread(target=self._follow, args=(self.conn.getresponse(),), daemon=True).start()

    def _follow(self, response):
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            for line in response:
                event = json.loads(line)
                if event['type'] in ('ADDED', 'MODIFIED', 'DELETED'):
                    self.rows.append((time.time(), event['type'], event['object']))

    def seen(self, uid, check=lambda pod: True):
        """When the pod was first shown so that check(pod); None = not yet."""
        return next((t for t, kind, pod in list(self.rows)
                     if kind != 'DELETED' and pod['metadata']['uid'] == uid and check(pod)), None)


def is_ready(pod):
    return not pod['metadata'].get('deletionTimestamp') and pod.get('status', {}).get('phase') == 'Running' and any(
        c['type'] == 'Ready' and c['status'] == 'True' for c in pod.get('status', {}).get('conditions', []))
