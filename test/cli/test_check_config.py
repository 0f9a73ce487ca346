#!/usr/bin/python3
"""check-config and the start of the agent: each bad file with the exact lines that both say, and good files that both take."""
import os
import signal
import subprocess
import sys
import tempfile
import time

BIN = os.environ.get('EDGE_HEALER_BIN', 'build/release/edge-healer')
HINT = 'edge-healer check-config: this was checked for an agent on this machine.'
MANIFESTS = 'kubelet.static_pod_path "@DIR@/manifests" (@FILE@:2), and kubelet reads all that is there as pods: move it out'
STATIC = 'kubelet:\n  static_pod_path: @DIR@/manifests\n'
ABSOLUTE = 'write a whole path, from / on'
LISTEN = 'write an IP address and a port by number (0 to 65535): 0.0.0.0:8000 or [::]:8000'
RPC = 'write an IP address or localhost and a port from 1 to 65535: 127.0.0.1:7373 or [::1]:7373'
GATE = 'write an IP address and a port from 1 to 65535: 10.0.0.1:6443 or [fd00::1]:6443'
HEALTH = 'write it with an IP address and a port from 1 to 65535: http://127.0.0.1:10248/healthz'
JOIN = 'write a host and perhaps a port from 1 to 65535: 10.0.0.1, node2:7946 or [fd00::1]:7946'
ONE = 'one address an item: make a list of them, [a, "b:7946"]'
NODE = ("no Node has such a name: write it as kubectl get nodes shows it (lower-case letters, digits, '-' and '.', at most 253)")
GLOB = ("no namespace is matched by this: use lower-case letters, digits, '-', and '*' for any text, one namespace an item")
SCHEME = 'give a URL with https:// or http://'
PORT = 'the port must be a number from 1 to 65535, and an IPv6 address in brackets'
PARTS = 'give https://HOST[:PORT][/PATH], without a user, ? or #'
MINORITY = ('the smaller part of a site misses more than half of it, and the breaker stops it: set budget.max_lost_nodes above 50%, or '
            'heal.minority to passive')
TTL = 'serf.peer_ttl must be longer than serf.poll, or no answer is ever fresh'
PROBE = 'kube.probe must not be longer than kube.offline_after, or it is offline after one failed probe'
OURS = ', which would be overwritten: give each its own'
INSTEAD = 'use a token, a tokenFile or a client certificate'


def nothing_is_expanded(key, value, env):
    return '%s: "%s": nothing is expanded here: write the value itself, or leave the key out and set %s in the environment' % (key, value, env)


def required(key, default):
    return '%s: it may not be empty: leave the key out for the default (%s)' % (key, default)


def kubeconfig(cluster='server: "https://10.0.0.1:6443"', user='token: t', rest='current-context: c\n'):
    return ('%sclusters: [{name: k, cluster: {%s}}]\nusers: [{name: u, user: {%s}}]\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n'
            % (rest, cluster, user))


# name: (file, lines); "N " in front of a line is its place. @DIR@ is the folder of the test, @FILE@ the file itself.
VALUES = {
    'node is a template': ('node: ${NODE_NAME}\n', ['1 ' + nothing_is_expanded('node', '${NODE_NAME}', 'EDGE_HEALER_NODE')]),
    'node is a template of kubelet': ('node: $(NODE_NAME)\n', ['1 ' + nothing_is_expanded('node', '$(NODE_NAME)', 'EDGE_HEALER_NODE')]),
    'site is a template': ('site: "{{ .Values.site }}"\n', ['1 ' + nothing_is_expanded('site', '{{ .Values.site }}', 'EDGE_HEALER_SITE')]),
    'node in upper case': ('node: Edge-1\n', ['1 node: "Edge-1": ' + NODE]),
    'node with an underscore': ('node: edge_1\n', ['1 node: "edge_1": ' + NODE]),
    'node with an empty part': ('node: a..b\n', ['1 node: "a..b": ' + NODE]),
    'node ends in a hyphen': ('node: a-.b\n', ['1 node: "a-.b": ' + NODE]),
    'node too long': ('node: %s\n' % ('a' * 254), ['1 node: "%s": ' % ('a' * 254) + NODE]),
    'node missing': ('node: ""\n', ['1 node: required: set NODE_NAME (spec.nodeName by the downward API) or the key node']),
    'node null': ('node: ~\n', ['1 node: the value is null: write one, or leave the key out for the default']),
    'site too long': ('site: %s\n' % ('s' * 64), ['1 site: "%s": use at most 63 bytes, as a zone label has' % ('s' * 64)]),
    'pod.namespace': ('pod:\n  namespace: a.b\n', ['2 pod.namespace: "a.b": use lower-case letters, digits and \'-\', at most 63']),

    'server without a scheme': ('kube:\n  server: 10.0.0.1:6443\n', ['2 kube.server: "10.0.0.1:6443": ' + SCHEME]),
    'server with another scheme': ('kube:\n  server: tcp://10.0.0.1:6443\n', ['2 kube.server: "tcp://10.0.0.1:6443": ' + SCHEME]),
    'server with a port out of range': ('kube:\n  server: https://h:65536\n', ['2 kube.server: "https://h:65536": ' + PORT]),
    'server with a port by name': ('kube:\n  server: https://h:https\n', ['2 kube.server: "https://h:https": ' + PORT]),
    'server with a user': ('kube:\n  server: https://me:secret@h\n', ['2 kube.server: ' + PARTS]),
    'server with a query': ('kube:\n  server: https://h/?x\n', ['2 kube.server: "https://h/?x": ' + PARTS]),
    'listen by name': ('http:\n  listen: localhost:8000\n', ['2 http.listen: "localhost:8000": ' + LISTEN]),
    'listen with a port by name': ('http:\n  listen: 0.0.0.0:http\n', ['2 http.listen: "0.0.0.0:http": ' + LISTEN]),
    'listen with a port out of range': ('http:\n  listen: 0.0.0.0:65536\n', ['2 http.listen: "0.0.0.0:65536": ' + LISTEN]),
    'listen without a port': ('http:\n  listen: 0.0.0.0\n', ['2 http.listen: "0.0.0.0": it has no port: write 0.0.0.0:8000']),
    'listen empty': ('http:\n  listen: ""\n', ['2 ' + required('http.listen', '0.0.0.0:8000')]),
    'rpc by name': ('serf:\n  rpc: serf:7373\n', ['2 serf.rpc: "serf:7373": ' + RPC]),
    'rpc with a port out of range': ('serf:\n  rpc: 127.0.0.1:99999\n', ['2 serf.rpc: "127.0.0.1:99999": ' + RPC]),
    'rpc with port 0': ('serf:\n  rpc: 127.0.0.1:0\n', ['2 serf.rpc: "127.0.0.1:0": ' + RPC]),
    'rpc with IPv6 without brackets': ('serf:\n  rpc: ::1:7373\n', ['2 serf.rpc: "::1:7373": ' + RPC]),
    'kubelet.port by name': ('kubelet:\n  port: kubelet\n', ['2 kubelet.port: "kubelet" is not a whole number from 1 to 65535']),
    'kubelet.port out of range': ('kubelet:\n  port: 65536\n', ['2 kubelet.port: "65536" is not a whole number from 1 to 65535']),
    'gate addresses': ('kubelet:\n  gate_addresses:\n  - 10.0.0.1\n  - api:6443\n  - 10.0.0.1:0\n',
                       ['%d kubelet.gate_addresses: "%s": ' % at + GATE for at in ((3, '10.0.0.1'), (4, 'api:6443'), (5, '10.0.0.1:0'))]),
    'healthz by name': ('kubelet:\n  healthz: http://node1:10248/healthz\n', ['2 kubelet.healthz: "http://node1:10248/healthz": ' + HEALTH]),
    'healthz without a scheme': ('kubelet:\n  healthz: 127.0.0.1:10248\n', ['2 kubelet.healthz: "127.0.0.1:10248": ' + HEALTH]),
    'healthz with a port out of range': ('kubelet:\n  healthz: http://127.0.0.1:70000\n', ['2 kubelet.healthz: "http://127.0.0.1:70000": ' + HEALTH]),
    'join': ('serf:\n  join: ["a,b", "a b", "a;b", "c:99999", "c:x", "[fd00::1", "", "ok:7946"]\n',
             ['2 serf.join: "a,b": ' + ONE, '2 serf.join: "a b": ' + ONE, '2 serf.join: "a;b": ' + ONE, '2 serf.join: "c:99999": ' + JOIN,
              '2 serf.join: "c:x": ' + JOIN, '2 serf.join: "[fd00::1": ' + JOIN, '2 serf.join: an item is empty: take it out']),
    'join in one line': ('serf:\n  join: a,,b:0\n', ['2 serf.join: an item is empty: take it out; "b:0": ' + JOIN]),

    'namespaces empty': ('heal:\n  namespaces: []\n', ['2 heal.namespaces: the list is empty, so nothing would be healed: write ["*", "!kube-system"]']),
    'namespaces all commented out': ('heal:\n  namespaces:\n  # - shop\n',
                                     ['2 heal.namespaces: the list is empty, so nothing would be healed: write ["*", "!kube-system"]']),
    'an empty namespace': ('heal:\n  namespaces:\n  - shop\n  - ""\n  -\n',
                           ['4 heal.namespaces: an item is empty: take it out', '5 heal.namespaces: an item is empty: take it out']),
    'namespaces that are none': ('heal:\n  namespaces: [Shop, "!", "a b", "a?"]\n',
                                 ['2 heal.namespaces: "Shop": ' + GLOB, '2 heal.namespaces: "!": nothing is behind the \'!\': write !kube-system',
                                  '2 heal.namespaces: "a b": ' + GLOB, '2 heal.namespaces: "a?": ' + GLOB]),
    'namespaces only excluded': ('heal:\n  namespaces: ["!kube-system"]\n',
                                 ['2 heal.namespaces: everything is excluded, so nothing would be healed: begin with "*" or the namespaces to heal']),
    'namespaces excluded in vain': ('heal:\n  namespaces: ["!kube-system", "*"]\n',
                                    ['2 heal.namespaces: "!kube-system" has no effect: "*" behind it takes the same namespaces in again: '
                                     'put "!kube-system" last']),
    'poll and peer_ttl': ('serf:\n  poll: 3s\n  peer_ttl: 2s\n', ['3 serf.peer_ttl: 2s, with serf.poll 3s (@FILE@:2): ' + TTL]),
    'poll alone': ('serf:\n  poll: 3s\n', ['2 serf.poll: 3s, with serf.peer_ttl 2s (the default): ' + TTL]),
    'probe and offline_after': ('kube:\n  probe: 4s\n', ['2 kube.probe: 4s, with kube.offline_after 3s (the default): ' + PROBE]),
    'offline_after and probe': ('kube:\n  offline_after: 500ms\n', ['2 kube.offline_after: 500ms, with kube.probe 1s (the default): ' + PROBE]),
    'minority and the default budget': ('heal:\n  minority: active\n',
                                        ['2 heal.minority: active, with budget.max_lost_nodes 50% (the default): ' + MINORITY]),
    'minority and a budget': ('heal:\n  minority: active\nbudget:\n  max_lost_nodes: 30%\n',
                              ['2 heal.minority: active, with budget.max_lost_nodes 30% (@FILE@:4): ' + MINORITY]),
    'nobody may ask': ('http:\n  loopback: token\n  socket: ""\n',
                       ['2 http.loopback: token, with http.token_file "" (the default): nobody could ask /v1, the client verbs neither: '
                        'name a http.token_file or a http.socket']),
    "kubelet's port": ('http:\n  listen: 0.0.0.0:10250\n',
                       ['2 http.listen: "0.0.0.0:10250", with kubelet.port 10250 (the default): kubelet has this port: give http.listen another']),
    "serf's port": ('http:\n  listen: :7373\n',
                    ['2 http.listen: ":7373", with serf.rpc "127.0.0.1:7373" (the default): the serf agent has this port: give http.listen another']),
    "kubelet's health port": ('http:\n  listen: "[::]:10248"\n',
                              ['2 http.listen: "[::]:10248", with kubelet.healthz "http://127.0.0.1:10248/healthz" (the default): kubelet has '
                               'this port: give http.listen another']),

    'a key twice': ('mode: observe\nserf:\n  poll: 1s\n  poll: 2s\nmode: heal\n',
                    ['4 serf.poll: set a second time, the first is in line 3: keep one of them',
                     '5 mode: set a second time, the first is in line 1: keep one of them']),
    'a block twice': ('serf:\n  poll: 1s\nmode: heal\nserf:\n  peer_ttl: 5s\n',
                      ['4 serf: a second block of this name, the first is in line 1: keep one of them']),
    'an empty block twice': ('serf:\nserf:\n  poll: 1s\n', ['2 serf: a second block of this name, the first is in line 1: keep one of them']),
    'two documents': ('mode: heal\n---\nmode: observe\n',
                      ['3 (top): a second document begins here, and one is read only: make it one, without ---']),
    'the first document is empty': ('---\n---\nmode: observe\n',
                                    ['3 (top): a second document begins here, and one is read only: make it one, without ---']),
    'no YAML in the second document': ('mode: heal\n---\n\tx\n', ['3 not YAML: found character that cannot start any token']),
    'a line break in a value': ('mode: "a\\nb"\n', ['1 mode: "a?b" is not one of observe, heal']),
    'unknown': ('serf:\n  pol: 1s\nnosuch: 1\n', ['2 serf.pol: unknown key; did you mean serf.poll?', '3 nosuch: unknown key']),
    'all at once': ('mode: x\nserf:\n  poll: 5\nkube:\n  server: h\n  probe: 9s\nstore:\n  path: db\n',
                    ['1 mode: "x" is not one of observe, heal', '3 serf.poll: "5" is no duration: write 250ms, 2s, 5m or 1h30m',
                     '5 kube.server: "h": ' + SCHEME, '8 store.path: "db": ' + ABSOLUTE,
                     '6 kube.probe: 9s, with kube.offline_after 3s (the default): ' + PROBE]),
}

PATHS = {
    'store in the manifests': (STATIC + 'store:\n  path: @DIR@/manifests/x.db\n', ['4 store.path: "@DIR@/manifests/x.db" is in ' + MANIFESTS]),
    'store in the manifests by ..': (STATIC + 'store:\n  path: @DIR@/data/../manifests/x.db\n',
                                     ['4 store.path: "@DIR@/data/../manifests/x.db" is in ' + MANIFESTS]),
    'store in the manifests by a link': (STATIC + 'store:\n  path: @DIR@/link/x.db\n', ['4 store.path: "@DIR@/link/x.db" is in ' + MANIFESTS]),
    'the manifests are a link': ('kubelet:\n  static_pod_path: @DIR@/link/\nstore:\n  path: @DIR@/manifests//x.db\n',
                                 ['4 store.path: "@DIR@/manifests//x.db" is in kubelet.static_pod_path "@DIR@/link/" (@FILE@:2), and kubelet '
                                  'reads all that is there as pods: move it out']),
    'bundles are the manifests': (STATIC + '  bundle_dir: @DIR@/manifests/\n', ['3 kubelet.bundle_dir: "@DIR@/manifests/" is in ' + MANIFESTS]),
    'bundles below the manifests': (STATIC + '  bundle_dir: @DIR@/manifests/not/there\n',
                                    ['3 kubelet.bundle_dir: "@DIR@/manifests/not/there" is in ' + MANIFESTS]),
    'the manifests contain a default': ('kubelet:\n  static_pod_path: /var/lib/edge-healer\n',
                                        ['2 kubelet.static_pod_path: "/var/lib/edge-healer" contains kubelet.bundle_dir '
                                         '"/var/lib/edge-healer/bundles" (the default), and kubelet reads all that is there as pods: move it out']),
    'socket in the manifests': (STATIC + 'http:\n  socket: @DIR@/link/s\n', ['4 http.socket: "@DIR@/link/s" is in ' + MANIFESTS]),
    'key file in the manifests': (STATIC + 'store:\n  key_file: @DIR@/manifests/key\n', ['4 store.key_file: "@DIR@/manifests/key" is in ' + MANIFESTS]),
    'bundles in the pod logs': ('kubelet:\n  bundle_dir: /var/log/pods/x\n',
                                ['2 kubelet.bundle_dir: "/var/log/pods/x" is in kubelet.pod_logs "/var/log/pods" (the default), and kubelet '
                                 'removes what it does not know there: move it out']),
    'key file is the store': ('store:\n  path: @DIR@/data/db\n  key_file: @DIR@/data/./db\n',
                              ['2 store.path: "@DIR@/data/db" is the same file as store.key_file "@DIR@/data/./db" (@FILE@:3)' + OURS]),
    'store is the kubeconfig': ('store:\n  path: @DIR@/good.conf\nkube:\n  kubeconfig: @DIR@/good.conf\n',
                                ['2 store.path: "@DIR@/good.conf" is the same file as kube.kubeconfig "@DIR@/good.conf" (@FILE@:4)' + OURS]),
    'socket too long': ('http:\n  socket: /%s\n' % ('s' * 107),
                        ['2 http.socket: "/%s": write a whole path, from / on, of at most 107 bytes' % ('s' * 107)]),
    'socket relative': ('http:\n  socket: s\n', ['2 http.socket: "s": write a whole path, from / on, of at most 107 bytes']),
    'store is a folder by its name': ('store:\n  path: @DIR@/data/\n', ['2 store.path: "@DIR@/data/": this is a folder: name a file in it']),
    'manifests in the root': ('kubelet:\n  static_pod_path: /\n', ['2 kubelet.static_pod_path: "/": this is the root folder: name one below it']),
    'path is null': ('store:\n  path: null\n', ['2 store.path: the value is null: write one, or leave the key out for the default']),
}
for key, default in (('store.path', '/data/desired.db'), ('kubelet.static_pod_path', '/etc/kubernetes/manifests'),
                     ('kubelet.cgroup_root', '/sys/fs/cgroup'), ('kubelet.pod_logs', '/var/log/pods'),
                     ('kubelet.bundle_dir', '/var/lib/edge-healer/bundles'), ('kubelet.boot_id_file', '/proc/sys/kernel/random/boot_id'),
                     ('kube.kubeconfig', None), ('kubelet.kubeconfig', None), ('store.key_file', None), ('http.token_file', None),
                     ('serf.auth_key_file', None)):
    section, name = key.split('.')
    PATHS[key + ' relative'] = ('%s:\n  %s: a/b\n' % (section, name), ['2 %s: "a/b": %s' % (key, ABSOLUTE)])
    if default:
        PATHS[key + ' empty'] = ('%s:\n  %s: ""\n' % (section, name), ['2 ' + required(key, default)])

NO_FILE = 'No such file or directory'
KUBE = 'kube:\n  kubeconfig: @DIR@/%s\n'
MACHINE = {
    'kubeconfig is missing': (KUBE % 'none', ['2 kube.kubeconfig: kubeconfig @DIR@/none: ' + NO_FILE]),
    'kubeconfig with exec': (KUBE % 'exec.conf', ['2 kube.kubeconfig: kubeconfig @DIR@/exec.conf: users["u"].user.exec is not supported: edge-healer '
                                                  'starts no login helpers; %s (kubectl create token NAME)' % INSTEAD]),
    'kubeconfig without current-context': (KUBE % 'context.conf', ['2 kube.kubeconfig: kubeconfig @DIR@/context.conf: current-context is not set: '
                                                                   'name a context (kubectl config use-context NAME)']),
    'kubeconfig of another context': (KUBE % 'other.conf', ['2 kube.kubeconfig: kubeconfig @DIR@/other.conf: there is no context "d" in this file']),
    'kubeconfig with a wrong server': (KUBE % 'server.conf', ['2 kube.kubeconfig: kubeconfig @DIR@/server.conf context c: server "10.0.0.1:6443": '
                                                              + SCHEME]),
    'kubeconfig with a wrong port': (KUBE % 'port.conf', ['2 kube.kubeconfig: kubeconfig @DIR@/port.conf context c: server "https://h:70000": ' + PORT]),
    'kubeconfig without its key': (KUBE % 'key.conf', ['2 kube.kubeconfig: @DIR@/key.conf: client-certificate @DIR@/none.crt: ' + NO_FILE]),
    'kubeconfig is no YAML': (KUBE % 'yaml.conf', ['2 kube.kubeconfig: kubeconfig @DIR@/yaml.conf: line 2: did not find expected \',\' or \']\'']),
    'a token in the clear': ('kube:\n  kubeconfig: @DIR@/good.conf\n  server: http://10.0.0.1:8080\n',
                             ['2 kube.kubeconfig: server "http://10.0.0.1:8080": a token is not sent over plain http; use https']),
    'token file is missing': ('http:\n  token_file: @DIR@/none\n', ['2 http.token_file: "@DIR@/none": ' + NO_FILE]),
    'token file is empty': ('http:\n  token_file: @DIR@/empty\n',
                            ['2 http.token_file: "@DIR@/empty": its first line is empty: write the key or token there']),
    'auth key is missing': ('serf:\n  auth_key_file: @DIR@/none\n', ['2 serf.auth_key_file: "@DIR@/none": ' + NO_FILE]),
    'auth key is empty': ('serf:\n  auth_key_file: @DIR@/empty\n',
                          ['2 serf.auth_key_file: "@DIR@/empty": its first line is empty: write the key or token there']),
    'folder of the store is missing': ('store:\n  path: @DIR@/none/db\n',
                                       ['2 store.path: its folder "@DIR@/none": %s: it must exist and be writable' % NO_FILE]),
    'folder of the store is a file': ('store:\n  path: @DIR@/empty/db\n',
                                      ['2 store.path: its folder "@DIR@/empty": Not a directory: it must exist and be writable']),
    'store is a folder': ('store:\n  path: @DIR@/data\n', ['2 store.path: "@DIR@/data" is there and is no file: name another']),
    'address of another machine': ('http:\n  listen: 192.0.2.1:8000\n',
                                   ['2 http.listen: "192.0.2.1:8000": Cannot assign requested address: write an address of this machine, or '
                                    '0.0.0.0:PORT for all']),
    'the file is missing': (None, ['FILE No such file or directory']),
}

GOOD = {
    'nothing': '',
    'all sections are empty': 'serf:\nkube:\nheal:\n',
    'an empty second document': 'mode: observe\n---\n',
    'begins with ---': '---\nmode: observe\n...\n',
    'lists': 'serf:\n  join: [a, "b:7946", 10.0.0.1, "[fd00::1]:7946", "fd00::1", node2/10.0.0.2]\nheal:\n  namespaces: "shop-*,!shop-test"\n',
    'names': 'kubelet:\n  healthz: http://localhost:10248/healthz\nserf:\n  rpc: localhost:7373\nkube:\n  server: https://api.example.com:6443\n',
    'equal times': 'kube:\n  probe: 500ms\n  offline_after: 500ms\n',
    'minority with a budget': 'heal:\n  minority: active\nbudget:\n  max_lost_nodes: 51%\n',
    'a kubeconfig': KUBE % 'good.conf',
    'beside the manifests': STATIC + '  bundle_dir: @DIR@/manifests-bundles\n',
    'loopback by token': 'http:\n  loopback: token\n',
    'namespaces in and out': 'heal:\n  namespaces: ["*", "!a*", "ab"]\n',
}


class Folder:
    def __init__(self):
        self.tmp = tempfile.TemporaryDirectory()
        self.dir = os.path.realpath(self.tmp.name)
        self.file = os.path.join(self.dir, 'c.yaml')
        for name in ('manifests', 'data'):
            os.mkdir(os.path.join(self.dir, name))
        os.symlink('manifests', os.path.join(self.dir, 'link'))
        for name, text in (('empty', ''), ('good.conf', kubeconfig()), ('exec.conf', kubeconfig(user='exec: {command: aws}')),
                           ('context.conf', kubeconfig(rest='')), ('other.conf', kubeconfig(rest='current-context: d\n')),
                           ('server.conf', kubeconfig('server: "10.0.0.1:6443"')), ('port.conf', kubeconfig('server: "https://h:70000"')),
                           ('key.conf', kubeconfig(user='client-certificate: none.crt, client-key: none.key')), ('yaml.conf', 'a: [b\nc: d\n')):
            with open(os.path.join(self.dir, name), 'w', encoding='utf8') as f:
                f.write(text)

    def fill(self, text):
        return text.replace('@DIR@', self.dir).replace('@FILE@', self.file)

    def env(self, text):
        """What every agent needs and this file is not about."""
        e = {'PATH': '/usr/bin:/bin'}
        for word, name, value in (('node:', 'NODE_NAME', 'edge-1'), ('  path:', 'CACHE_PATH', self.dir + '/data/desired.db'),
                                  ('listen:', 'EDGE_HEALER_HTTP_LISTEN', '127.0.0.1:0'), ('socket:', 'EDGE_HEALER_HTTP_SOCKET', self.dir + '/s')):
            if word not in text:
                e[name] = value
        if 'kubeconfig:' not in text.replace('kubelet:\n  kubeconfig:', '') and 'server:' not in text:
            e['EDGE_HEALER_KUBE_SERVER'] = 'http://127.0.0.1:1'
        return e

    def write(self, text):
        if os.path.exists(self.file):
            os.unlink(self.file)
        if text is not None:
            with open(self.file, 'w', encoding='utf8') as f:
                f.write(self.fill(text))

    def place(self, line):
        number, rest = line.split(' ', 1)
        return self.fill('%s:%s' % (self.file, ' ' + rest if number == 'FILE' else '%s: %s' % (number, rest)))


def run(*args, stdin='', env=None):
    r = subprocess.run([BIN, *args], input=stdin, capture_output=True, text=True, timeout=60, env=env or {'PATH': '/usr/bin:/bin'})
    for word in ('ERROR: AddressSanitizer', 'LeakSanitizer', 'runtime error'):
        assert word not in r.stderr, r.stderr
    return r.returncode, r.stdout, r.stderr


def refuse(folder, name, text, lines):
    """Both say exactly this, and end with 1."""
    folder.write(text)
    env = folder.env(text or '')
    want = [folder.place(line) for line in lines]
    code, out, err = run('check-config', folder.file, env=env)
    said = [line for line in err.splitlines() if not line.startswith(HINT)]
    assert (code, out, said) == (1, '', want), '%s: check-config: %d\n%s\ninstead of\n%s' % (name, code, '\n'.join(said), '\n'.join(want))
    code, out, err = run('agent', '--config', folder.file, env=env)
    assert (code, out, err.splitlines()) == (1, '', want), '%s: agent: %d\n%s' % (name, code, err)


def refuse_all(rows):
    folder = Folder()
    for name, (text, lines) in rows.items():
        refuse(folder, name, text, lines)


def test_values():
    refuse_all(VALUES)


def test_paths():
    refuse_all(PATHS)


def test_machine():
    refuse_all(MACHINE)


def starts(folder, env):
    """The agent gets as far as it can without Serf and an API server, and stops in order."""
    p = subprocess.Popen([BIN, 'agent', '--config', folder.file], stderr=subprocess.PIPE, text=True, env=env)
    text = ''
    for line in p.stderr:
        text += line
        if 'started' in line and 'version=' in line:
            p.send_signal(signal.SIGTERM)
    assert p.wait(60) == 0 and 'version=' in text, text


def test_good():
    folder = Folder()
    for name, text in GOOD.items():
        folder.write(text)
        env = dict(folder.env(text), EDGE_HEALER_KUBELET_GATE='off', EDGE_HEALER_MODE='observe')
        if 'healthz' not in text:
            env['EDGE_HEALER_KUBELET_HEALTHZ'] = ''
        code, out, err = run('check-config', folder.file, env=env)
        assert (code, out, err) == (0, folder.file + ': ok\n', ''), '%s: %s' % (name, err)
        starts(folder, env)


def test_in_a_pod():
    """Without a kubeconfig in the file: the service account when the environment is a pod's, $KUBECONFIG, or nothing at all."""
    folder = Folder()
    folder.write('mode: heal\n')
    env = {k: v for k, v in folder.env('mode: heal\n').items() if k != 'EDGE_HEALER_KUBE_SERVER'}
    account = '/var/run/secrets/kubernetes.io/serviceaccount/token'
    for more, want in (({}, 'kube.kubeconfig: no API server: set kube.kubeconfig or kube.server, or run in a pod with a service account'),
                       ({'KUBERNETES_SERVICE_HOST': '10.96.0.1'}, 'kube.kubeconfig: %s: %s; is automountServiceAccountToken off?' % (account, NO_FILE)),
                       ({'KUBECONFIG': '/no/such'}, 'kube.kubeconfig: kubeconfig /no/such: ' + NO_FILE),
                       ({'KUBECONFIG': folder.dir + '/good.conf'}, None)):
        if os.path.exists(account) and 'KUBERNETES_SERVICE_HOST' in more:
            continue
        code, _, err = run('check-config', folder.file, env=dict(env, **more))
        assert (code, err.splitlines()[:1]) == ((1, [want]) if want else (0, [])), err


def test_syntax_only():
    """The example is for a node; a workstation has neither its credentials nor its folders, and its environment does not count."""
    example = 'examples/edge-healer.yaml'
    code, out, err = run('check-config', '--syntax-only', example, env={'PATH': '/usr/bin', 'EDGE_HEALER_NONE': '1', 'LOG_LEVEL': 'no'})
    assert code == 0 and out.startswith(example + ': ok (this file alone') and not err, err
    folder = Folder()
    for rows in (VALUES, MACHINE):
        for name, (text, lines) in rows.items():
            folder.write(text)
            code, _, err = run('check-config', '--syntax-only', folder.file)
            want = [] if rows is MACHINE and text else [folder.place(line) for line in lines if ' node: required' not in line]
            assert err.splitlines() == want and code == (1 if want else 0), '%s: %s' % (name, err)
    if not os.path.exists('/data'):
        code, _, err = run('check-config', example)
        assert code == 1 and 'node: required' in err and 'no API server' in err and '"/data"' in err, err
        assert err.splitlines()[-1] == HINT + ' For another one: edge-healer check-config --syntax-only ' + example, err


def test_environment():
    folder = Folder()
    folder.write('mode: heal\n')
    env = dict(folder.env('mode: heal\n'), EDGE_HEALER_SERFRPC='x', EDGE_HEALER_SERF_POLL='9s')
    want = ['environment EDGE_HEALER_SERFRPC: no such key; did you mean EDGE_HEALER_SERF_RPC?',
            'environment EDGE_HEALER_SERF_POLL: serf.poll: 9s, with serf.peer_ttl 2s (the default): ' + TTL]
    for verb in (('check-config', folder.file), ('agent', '--config', folder.file)):
        code, _, err = run(*verb, env=env)
        assert (code, err.splitlines()) == (1, want), err


def test_warnings():
    folder = Folder()
    text = 'heal:\n  selector: a=b\npod:\n  standby: on\n'
    folder.write(text)
    code, out, err = run('check-config', folder.file, env=folder.env(text))
    assert (code, out) == (0, folder.file + ': ok\n'), err
    assert err.splitlines() == [folder.place('2 heal.selector: accepted, but has no effect in this version'),
                                folder.place('4 pod.standby: on, with pod.name "" (the default): there will be no standby, and the agent is not ready: '
                                             'set POD_NAME and POD_NAMESPACE by the downward API')], err


def test_usage():
    folder = Folder()
    folder.write('')
    see = ' See edge-healer check-config --help.\n'
    for args, want in ((('--bogus',), 'unknown option "--bogus".'), (('--syntaxonly', 'x'), 'unknown option "--syntaxonly". Did you mean --syntax-only?'),
                       (('--print=x',), 'unknown option "--print=x". Did you mean --print?'), (('-x',), 'unknown option "-x".'),
                       (('a', 'b'), 'one file at a time; unexpected argument "b".'), (('',), 'name a file, - for stdin, instead of "".'),
                       (('--syntax-only',), 'a FILE is needed with "--syntax-only".')):
        assert run('check-config', *args) == (2, '', 'edge-healer check-config: ' + want + see), run('check-config', *args)
    code, _, err = run('check-config', '--', '--bogus', env=folder.env(''))
    assert code == 1 and '--bogus: No such file or directory' in err, err
    code, out, err = run('check-config', '--help')
    assert code == 0 and '--syntax-only' in out and 'on this machine' in out, out


def test_input():
    """A file, none (the variable, else the defaults), stdin."""
    folder = Folder()
    env = folder.env('')
    assert run('check-config', env=env) == (0, 'defaults and environment: ok\n', '')
    assert run('check-config', '-', stdin='mode: observe\n', env=env) == (0, 'stdin: ok\n', '')
    assert run('check-config', '-', stdin='mode: x\n', env=env) == (1, '', 'stdin:1: mode: "x" is not one of observe, heal\n')
    code, out, _ = run('check-config', '--print', '-', stdin='mode: observe\n', env=env)
    assert code == 0 and 'mode: observe\n' in out and run('check-config', '--print', '-', stdin=out, env=env)[:2] == (0, out), out
    assert 'not YAML' in run('check-config', '-', stdin='mode: heal\0\nx: 1\n', env=env)[2]
    assert run('check-config', '-', stdin='#' * 300000, env=env)[2] == 'stdin: larger than 262144 bytes\n'
    folder.write('mode: x\n')
    code, _, err = run('check-config', env=dict(env, EDGE_HEALER_CONFIG=folder.file))
    assert code == 1 and err == folder.file + ':1: mode: "x" is not one of observe, heal\n', err


def main():
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and callable(f)]
    failed = 0
    for name, fn in tests:
        began = time.monotonic()
        try:
            fn()
            print('ok %s %.1f s' % (name, time.monotonic() - began))
        except Exception as e:                                     # noqa: BLE001 — each test stands alone
            failed += 1
            print('FAILED %s: %s: %s' % (name, type(e).__name__, e))
    print('%d passed, %d failed' % (len(tests) - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
