"""Fills the store with many realistic objects quickly, for tests of size.

The bytes of a pod come from one template by substitution; nothing is parsed. A pod is 3 to 4 KB of JSON, a third of it managedFields, as
the pods of a small Deployment on a real server are.
"""
import hashlib

from defaults import ALPHABET, on_create
from managed import record
from node_lifecycle import SEEDED
from schema import NODES, PODS, REPLICASETS
from store import Entry, PodInfo, dumps, make_entry, now

CPU, MEMORY = 10, 16 << 20                         # requests of a seeded pod: 10m, 16Mi
MARKS = ('NAME', 'UID', 'VERSION', 'NODE', 'POD_IP', 'HOST_IP', 'SET', 'SET_UID', 'APP', 'HASH', 'TOKEN', 'CONTAINER')


def uid(kind, i):
    return '%08x-5eed-4000-8000-%012x' % (kind, i)


def letters(text, n):
    return ''.join(ALPHABET[b % len(ALPHABET)] for b in hashlib.md5(text.encode()).digest()[:n])


def _mark(name):
    return '@@%s@@' % name                         # a text that no template contains


def _pod_template():
    """The JSON of a running pod as a %-format string."""
    m = {k: _mark(k) for k in MARKS}
    stamp = now()
    pod = {'kind': 'Pod', 'apiVersion': 'v1', 'metadata': {
        'name': m['NAME'], 'generateName': m['SET'] + '-', 'namespace': 'default', 'uid': m['UID'], 'resourceVersion': m['VERSION'], 'generation': 1,
        'creationTimestamp': stamp, 'labels': {'app': m['APP'], 'pod-template-hash': m['HASH']},
        'ownerReferences': [{'apiVersion': 'apps/v1', 'kind': 'ReplicaSet', 'name': m['SET'], 'uid': m['SET_UID'], 'controller': True, 'blockOwnerDeletion': True}]},
        'spec': {'containers': [{'name': 'c', 'image': 'localhost/busybox:1', 'command': ['/bin/sleep', '100000'],
                                 'resources': {'requests': {'cpu': '10m', 'memory': '16Mi'}}}]}}
    record(pod, None, 'kube-controller-manager')   # before defaulting: a manager owns only what it wrote
    on_create(PODS, pod)
    unborn = {k: v for k, v in pod.items()}
    token = pod['spec']['volumes'][0]['name']
    pod['spec']['nodeName'] = m['NODE']
    conditions = [{'type': t, 'observedGeneration': 1, 'status': 'True', 'lastProbeTime': None, 'lastTransitionTime': stamp}
                  for t in ('PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled')]
    pod['status'] = {
        'observedGeneration': 1, 'phase': 'Running', 'conditions': conditions, 'hostIP': m['HOST_IP'], 'hostIPs': [{'ip': m['HOST_IP']}],
        'podIP': m['POD_IP'], 'podIPs': [{'ip': m['POD_IP']}], 'startTime': stamp, 'qosClass': 'Burstable', 'containerStatuses': [{
            'name': 'c', 'state': {'running': {'startedAt': stamp}}, 'lastState': {}, 'ready': True, 'restartCount': 0, 'started': True,
            'image': 'localhost/busybox:1', 'imageID': 'sha256:' + hashlib.sha256(b'busybox').hexdigest(), 'containerID': 'containerd://' + m['CONTAINER'],
            'resources': {'requests': {'cpu': '10m', 'memory': '16Mi'}}, 'allocatedResources': {'cpu': '10m', 'memory': '16Mi'}}]}
    record(pod, unborn, 'kubelet', 'status')
    body = {k: pod[k] for k in ('metadata', 'spec', 'status')}
    text = dumps(body).replace(token, 'kube-api-access-' + m['TOKEN']).replace('%', '%%')
    for k in MARKS:
        text = text.replace(_mark(k), '%%(%s)s' % k)
    return text


def _node(i, pods_each):
    name = 'node-%04d' % i
    ip = '10.%d.%d.%d' % (64 + i // 65536, i // 256 % 256, i % 256)
    stamp = now()
    rows = [('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
            ('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
            ('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
            ('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status')]
    room = {'cpu': str(max(16, 2 * pods_each * CPU // 1000 + 1)), 'memory': '%dMi' % max(65536, 2 * pods_each * (MEMORY >> 20)),
            'pods': str(max(110, 2 * pods_each))}
    return ip, {'kind': 'Node', 'apiVersion': 'v1', 'metadata': {
        'name': name, 'uid': uid(1, i), 'creationTimestamp': stamp, 'annotations': {SEEDED: 'true'},
        'labels': {'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'amd64'}}, 'spec': {}, 'status': {
            'addresses': [{'type': 'InternalIP', 'address': ip}, {'type': 'Hostname', 'address': name}], 'capacity': room, 'allocatable': room,
            'conditions': [{'type': t, 'status': s, 'reason': r, 'message': text, 'lastHeartbeatTime': stamp, 'lastTransitionTime': stamp}
                           for t, s, r, text in rows],
            'daemonEndpoints': {'kubeletEndpoint': {'Port': 10250}}, 'images': [{'names': ['localhost/busybox:1'], 'sizeBytes': 1997485}],
            'nodeInfo': {'architecture': 'amd64', 'bootID': uid(9, i), 'kubeletVersion': 'v1.36.0-kubesim', 'operatingSystem': 'linux',
                         'containerRuntimeVersion': 'containerd://2.0.0', 'kernelVersion': '6.1.0', 'osImage': 'kubesim', 'machineID': '',
                         'systemUUID': '', 'kubeProxyVersion': ''}}}


def _replicaset(i, count):
    app = 'app-%05d' % i
    hashed = letters(app, 10)
    labels = {'app': app, 'pod-template-hash': hashed}
    obj = {'kind': 'ReplicaSet', 'apiVersion': 'apps/v1', 'metadata': {'name': '%s-%s' % (app, hashed), 'namespace': 'default', 'labels': labels},
           'spec': {'replicas': count, 'selector': {'matchLabels': labels}, 'template': {'metadata': {'labels': labels}, 'spec': {'containers': [
               {'name': 'c', 'image': 'localhost/busybox:1', 'command': ['/bin/sleep', '100000'],
                'resources': {'requests': {'cpu': '10m', 'memory': '16Mi'}}}]}}}}
    on_create(REPLICASETS, obj)
    obj['metadata'].update(uid=uid(2, i), creationTimestamp=now(), generation=1)
    obj['status'] = {'replicas': count, 'fullyLabeledReplicas': count, 'readyReplicas': count, 'availableReplicas': count, 'observedGeneration': 1}
    record(obj, None, 'kube-controller-manager')
    return obj


def _put(store, res, obj):
    store.rv += 1
    obj['metadata']['resourceVersion'] = str(store.rv)
    e = make_entry(res, obj, store.rv)
    store.seed(res, e, [])
    return e


def fill(store, nodes, sets, pods):
    sets = max(sets, 1 if pods else 0)
    nodes = max(nodes, 1 if pods else 0)
    places = []
    for i in range(nodes):
        ip, obj = _node(i, -(-pods // nodes))
        record(obj, None, 'kubelet')
        places.append((_put(store, NODES, obj).name, ip))
    owners = []
    for i in range(sets):
        count = pods // sets + (i < pods % sets)
        e = _put(store, REPLICASETS, _replicaset(i, count))
        owners.append((e.name, e.uid, dict(e.labels)))
    template = _pod_template() if pods else ''
    n = len(ALPHABET)
    for i in range(pods):
        name, owner, labels = owners[i % sets]
        k = i // sets
        tail = ALPHABET[k // n ** 3 % n] + ALPHABET[k // n ** 2 % n] + ALPHABET[k // n % n] + ALPHABET[k % n]
        pod_name, node, pod_uid = '%s-s%s' % (name, tail), places[i % nodes], uid(3, i)
        store.rv += 1
        raw = template % {
            'NAME': pod_name, 'UID': pod_uid, 'VERSION': store.rv, 'NODE': node[0], 'HOST_IP': node[1], 'SET': name, 'SET_UID': owner,
            'POD_IP': '10.%d.%d.%d' % (128 + i // 65536, i // 256 % 256, i % 256), 'APP': labels['app'], 'HASH': labels['pod-template-hash'],
            'TOKEN': 's' + tail, 'CONTAINER': '%064x' % i}
        e = Entry(PODS, 'default', pod_name, pod_uid, store.rv, raw.encode(), labels, PodInfo(node[0], 'Running', True, False, owner, CPU, MEMORY))
        store.seed(PODS, e, (owner,))
