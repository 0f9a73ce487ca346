"""A site of network namespaces: what proxies cannot show, packets that are dropped, partitions, real sockets that hang.

  node n1: eth0 10.77.1.2, fd77:1::2 ──┐
  node n2: eth0 10.77.2.2, fd77:2::2 ──┤ router (forwards; its nftables table holds the faults)
  …                                    │
  api:     eth0 10.77.0.2, fd77::2   ──┘

Each node is a namespace with one interface and the router as its gateway; kubesim lives in a namespace of its own, or on a node
(`api_on`), as a small k3s site has it. Serf and the healer are the real ones with the addresses and ports of a real node.
All faults are one set of rules in the router's forward chain, replaced as a whole at each change.

Nothing is left behind: a guard process deletes the namespaces when this process ends, however it does, and a new site deletes what
runs that nobody guards any more have left.
"""
import contextlib
import ctypes
import http.client
import os
import re
import signal
import subprocess
import threading
import uuid

from cluster import Cluster
from apiclient import KUBESIM
from node import HEALTHZ_PORT, HTTP_PORT, MEMORY_FS, RPC_PORT, Node
from process import PYTHON, Process

PREFIX, API_PORT, CLONE_NEWNET = 'eh-', 6443, 0x40000000
_GUARD = '''
for n in $(ip netns list | cut -d' ' -f1 | grep "^$1-"); do
	ip netns pids "$n" | xargs -r kill -9
	ip netns del "$n"
done
rm -rf "$2"/*-"$1"-*'''
_CERTIFICATES = '''set -eu; mkdir -p "$1"; cd "$1"
for ca in ca other; do
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $ca.key -out $ca.crt -days 2 -subj /CN=$ca 2>/dev/null
done
for pair in api:ca portal:other; do
	name=${pair%%:*} ca=${pair##*:}
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $name.key -out $name.csr -subj /CN=$name 2>/dev/null
	printf 'subjectAltName=IP:%s,DNS:kubernetes.default.svc\\n' "$2" > $name.ext
	openssl x509 -req -in $name.csr -CA $ca.crt -CAkey $ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.crt 2>/dev/null
done
cat ca.crt >> api.crt'''
_libc = ctypes.CDLL(None, use_errno=True)


def run(*argv, text=None):
    p = subprocess.run(argv, input=text, capture_output=True, text=True)
    if p.returncode:
        raise OSError('%s: %s' % (' '.join(argv), p.stderr.strip() or p.stdout.strip()))
    return p.stdout


def not_permitted():
    """Why there can be no namespaces here, or None."""
    name = PREFIX + 'try-%d' % os.getpid()
    try:
        run('ip', 'netns', 'add', name)
    except OSError as e:
        return str(e)
    try:
        run('ip', 'netns', 'exec', name, 'ip', 'link', 'add', 'name', 'a', 'type', 'veth', 'peer', 'name', 'b')
        run('ip', 'netns', 'exec', name, 'nft', '-f', '-', text=_ruleset(['iifname "a" meta l4proto tcp reject with tcp reset']))
    except OSError as e:
        return str(e)
    finally:
        run('ip', 'netns', 'del', name)
    return None


def _delete(prefix):
    subprocess.run(['sh', '-c', _GUARD, 'guard', prefix, MEMORY_FS], check=False)


def clean_leftovers():
    """Of runs whose process is gone and whose guard was killed too."""
    prefixes = {m.group(0) for m in re.finditer(r'^%s(?:try-)?(\d+)(?:\.\w+)?' % PREFIX, run('ip', 'netns', 'list'), re.M)
                if not os.path.exists('/proc/' + m.group(1))}
    for prefix in prefixes:
        if prefix.startswith(PREFIX + 'try-'):
            subprocess.run(['ip', 'netns', 'del', prefix], check=False)      # somebody else may be doing the same
        else:
            _delete(prefix)


@contextlib.contextmanager
def inside(namespace):
    """This thread's new sockets belong to that namespace; they stay there afterwards."""
    with open('/proc/self/task/%d/ns/net' % threading.get_native_id()) as here, open('/run/netns/' + namespace) as there:
        _enter(there)
        try:
            yield
        finally:
            _enter(here)


def _enter(f):
    if _libc.setns(f.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), 'setns: ' + os.strerror(ctypes.get_errno()))


class Connection(http.client.HTTPConnection):
    """From within a namespace."""

    def __init__(self, namespace, host, port, timeout):
        super().__init__(host, port, timeout=timeout)
        self.namespace = namespace

    def connect(self):
        with inside(self.namespace):
            super().connect()


def _ruleset(rules):
    return 'table inet faults\ndelete table inet faults\ntable inet faults {\n chain forward {\n' \
           '  type filter hook forward priority 0; policy accept;\n%s }\n}\n' % ''.join('  %s\n' % r for r in rules)


class Network:
    """The namespaces, their links and the faults between them. Ports of the router: n1, n2, … and api."""

    def __init__(self, nodes, api_on=None):
        clean_leftovers()
        self.prefix = '%s%d.%s' % (PREFIX, os.getpid(), uuid.uuid4().hex[:4])
        # a process of its own that outlives this one by what it takes to clean up: its stdin ends when we do
        self.guard = subprocess.Popen(['sh', '-c', 'cat >/dev/null' + _GUARD, 'guard', self.prefix, MEMORY_FS], stdin=subprocess.PIPE,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.api_on = api_on
        self.dead, self.uplinks, self.cuts, self.lost = set(), {}, set(), set()
        self.router = self.name('router')
        run('ip', 'netns', 'add', self.router)
        run('ip', '-n', self.router, 'link', 'set', 'lo', 'up')
        self.sysctl(self.router, 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
        self._plug('api', 0)
        for i in range(1, nodes + 1):
            self._plug('n%d' % i, i)
        self.apply()

    def name(self, port):
        return '%s-%s' % (self.prefix, port)

    @staticmethod
    def sysctl(namespace, *settings):
        run('ip', 'netns', 'exec', namespace, 'sysctl', '-q', '-w', *settings)

    @staticmethod
    def address(i, v6=False):
        return 'fd77:%d::2' % i if v6 else '10.77.%d.2' % i

    def _plug(self, port, i):
        """One namespace with one interface, the other end of it at the router."""
        ns = self.name(port)
        run('ip', 'netns', 'add', ns)
        run('ip', '-n', ns, '-batch', '-', text='''link add name eth0 type veth peer name %s netns %s
            link set lo up
            link set eth0 up
            addr add 10.77.%d.2/24 dev eth0
            addr add fd77:%d::2/64 dev eth0 nodad
            ''' % (port, self.router, i, i))
        run('ip', '-n', self.router, '-batch', '-', text='''link set %s up
            addr add 10.77.%d.1/24 dev %s
            addr add fd77:%d::1/64 dev %s nodad
            ''' % (port, i, port, i, port))
        run('ip', '-n', ns, 'route', 'add', 'default', 'via', '10.77.%d.1' % i)
        run('ip', '-n', ns, '-6', 'route', 'add', 'default', 'via', 'fd77:%d::1' % i)

    # ---- faults

    def _uplink_rules(self, port, mode):
        api = 'n%d' % self.api_on if self.api_on else 'api'
        there, back = 'iifname "%s" oifname "%s"' % (port, api), 'iifname "%s" oifname "%s"' % (api, port)
        if self.api_on:                      # the node's other traffic goes on
            there, back = there + ' tcp dport %d' % API_PORT, back + ' tcp sport %d' % API_PORT
        if mode == 'blackhole':
            return [there + ' drop', back + ' drop']
        return [there + ' meta l4proto tcp reject with tcp reset', there + ' reject', back + ' drop']

    def apply(self):
        """What the faults are now, as one transaction."""
        rules = []
        for port in sorted(self.dead):
            rules += ['iifname "%s" drop' % port, 'oifname "%s" drop' % port]
        rules += ['iifname "%s" oifname "%s" drop' % cut for cut in sorted(self.cuts)]
        for port, ip in sorted(self.lost):
            family = 'ip6' if ':' in ip else 'ip'
            rules += ['iifname "%s" %s daddr %s drop' % (port, family, ip), 'oifname "%s" %s saddr %s drop' % (port, family, ip)]
        for port, mode in sorted(self.uplinks.items()):
            rules += self._uplink_rules(port, mode)
        run('ip', 'netns', 'exec', self.router, 'nft', '-f', '-', text=_ruleset(rules))

    def add_address(self, port, ip):
        """One more address of what is plugged in there; of another network it is routed there."""
        v6, near = ':' in ip, self.address(0, ':' in ip).rsplit(':' if ':' in ip else '.', 1)[0]
        run('ip', '-n', self.name(port), 'addr', 'add', ip + ('/128' if v6 else '/32'), 'dev', 'eth0', *(['nodad'] if v6 else []))
        if not ip.startswith(near):
            run('ip', '-n', self.router, *(['-6'] if v6 else []), 'route', 'add', ip, 'via', self.address(0, v6))

    def remove_address(self, port, ip):
        run('ip', '-n', self.name(port), 'addr', 'del', ip + ('/128' if ':' in ip else '/32'), 'dev', 'eth0')

    def close(self):
        self.guard.stdin.close()
        self.guard.wait()


class NetNode(Node):
    gate = 'auto'

    def _take_addresses(self):
        """In a namespace of its own: the addresses and ports of a real node."""
        self.net = self.cluster.network
        self.ip = self.net.address(self.index, self.cluster.v6)
        self.port = 'n%d' % self.index
        self.namespace = self.net.name(self.port)
        self.rpc, self.healthz = '127.0.0.1:%d' % RPC_PORT, '127.0.0.1:%d' % HEALTHZ_PORT
        self.listen = '[::]:%d' % HTTP_PORT if self.cluster.v6 else '0.0.0.0:%d' % HTTP_PORT

    def wrap(self, argv):
        return ['ip', 'netns', 'exec', self.namespace] + argv

    def connection(self):
        """From the node itself: /v1 from elsewhere needs a token."""
        return Connection(self.namespace, '127.0.0.1', HTTP_PORT, 3)

    def loopback(self):
        return '127.0.0.1:%d' % HTTP_PORT

    def start_proxy(self):
        """None here: it reaches the API server itself."""
        self._write_kubeconfig(self.cluster.api.url.netloc)

    def uplink(self, mode):
        """pass, refuse or blackhole."""
        self.net.uplinks.pop(self.port, None)
        if mode != 'pass':
            self.net.uplinks[self.port] = mode
        self.net.apply()

    def power_off(self):
        """Silence first: a node without power sends no reset. Then kill -9 of all that it runs, the API server too if it is here."""
        self.net.dead.add(self.port)
        self.net.apply()
        if self.net.api_on == self.index:
            self.cluster.stop_api()
        super().power_off()

    def power_on(self, healer_env=None):
        self.net.dead.discard(self.port)
        self.net.apply()
        if self.net.api_on == self.index:
            self.cluster.start_api()
        super().power_on(healer_env)


class NetCluster(Cluster):
    """A Cluster of namespaces. `api_on`: the number of the node that the API server shares; `v6`: all addresses are IPv6; `tls`: the
    API server has a certificate (certs/api, of certs/ca), and there is one of somebody else's for its address (certs/portal)."""
    Node = NetNode

    def __init__(self, binary, nodes=3, api_on=None, v6=False, tls=False, **more):
        self.count, self.api_on, self.v6, self.tls = nodes, api_on, v6, tls
        super().__init__(binary, nodes, **more)

    def _make_network(self):
        self.network = Network(self.count, self.api_on)
        self.api_addresses, self.more = [], []
        self.mark = self.network.prefix + '-'
        self.api_space = self.network.name('n%d' % self.api_on if self.api_on else 'api')
        host = Network.address(self.api_on or 0, self.v6)
        self.api_listen = '%s:%d' % ('[%s]' % host if self.v6 else host, API_PORT)

    def within(self):
        return inside(self.api_space)

    def api_wrap(self, argv):
        return ['ip', 'netns', 'exec', self.api_space] + argv + ['--data', os.path.join(self.dir, 'objects.json')]

    def start_api(self, *extra):
        if self.tls:
            certs = os.path.join(self.dir, 'certs')
            if not os.path.exists(certs):
                subprocess.run(['sh', '-c', _CERTIFICATES, 'certs', certs, Network.address(self.api_on or 0, self.v6)], check=True)
            extra += ('--tls-cert', os.path.join(certs, 'api.crt'), '--tls-key', os.path.join(certs, 'api.key'))
        super().start_api(*extra)

    def stop_api(self):
        self.kubesim.kill(signal.SIGTERM)

    def add_api_address(self, ip, port=API_PORT):
        """The API server answers there too, by a proxy beside it. Returns HOST:PORT."""
        self.network.add_address('api', ip)
        at = ('[%s]:%d' if ':' in ip else '%s:%d') % (ip, port)
        self.more.append(Process('proxy', ['ip', 'netns', 'exec', self.api_space, PYTHON, os.path.join(KUBESIM, 'proxy.py'), '--listen', at,
                                           '--to', self.api_listen], os.path.join(self.dir, 'proxy-%d.log' % len(self.more)),
                                 stdin=subprocess.PIPE))
        self.more[-1].line('proxy: listening on ')
        return at

    def lose_address(self, node, ip, lost=True):
        """Packets between this node and that address vanish."""
        (self.network.lost.add if lost else self.network.lost.discard)((node.port, ip))
        self.network.apply()

    # ---- faults

    def cut_uplink(self, mode='blackhole'):
        self.network.uplinks = {n.port: mode for n in self.nodes if n.index != self.api_on}
        self.network.apply()

    def mend_uplink(self):
        self.network.uplinks = {}
        self.network.apply()

    def cut(self, some, others):
        """No packet goes from some to others; the way back stays."""
        self.network.cuts |= {(a.port, b.port) for a in some for b in others}
        self.network.apply()

    def partition(self, some, others=None):
        """No packet goes between some and the others (default: all that are left), either way. The API server is reached by both."""
        others = [n for n in self.nodes if n not in some] if others is None else others
        self.cut(some, others)
        self.cut(others, some)

    def unplug(self, node, down=True):
        """The node's cable: neither its peers nor its gateway are there. Routes through it come back with it."""
        run('ip', '-n', self.network.router, 'link', 'set', node.port, 'down' if down else 'up')
        if not down:                         # IPv6 addresses go with a link that goes down
            run('ip', '-n', self.network.router, 'addr', 'replace', 'fd77:%d::1/64' % node.index, 'dev', node.port, 'nodad')

    def join(self):
        """Ends all partitions, not the outage of the uplink."""
        self.network.cuts = set()
        self.network.apply()

    def stop(self):
        for p in self.more:
            p.kill()
        try:
            super().stop()
        finally:
            self.network.close()
