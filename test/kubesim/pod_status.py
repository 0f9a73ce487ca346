"""The status documents that a kubelet writes: of pods and of its node."""
import quantity
from cgroups import container_id
from store import now


def _condition(kind, ok, since, reason=None, message=None):
    out = {'type': kind, 'status': 'True' if ok else 'False', 'lastProbeTime': None, 'lastTransitionTime': since}
    if reason:
        out['reason'] = reason
    if message:
        out['message'] = message
    return out


def of_pod(w, node_ip, images_missing):
    """The status of a worker's pod in its present state."""
    spec, since = w.pod['spec'], w.since
    if w.state == 'failed':
        return {'phase': 'Failed', 'reason': w.reason, 'message': w.message, 'startTime': w.accepted, 'qosClass': w.qos,
                'conditions': [_condition('Ready', False, since, 'PodFailed'), _condition('ContainersReady', False, since, 'PodFailed')]}
    running = w.state == 'running' and not images_missing
    rows = []
    for c in spec.get('containers') or []:
        row = {'name': c['name'], 'image': c.get('image', ''), 'imageID': '', 'restartCount': w.attempt, 'lastState': {}, 'ready': running,
               'started': running}
        if running:
            row.update(state={'running': {'startedAt': since}}, imageID='sha256:' + container_id('image', c.get('image', '')),
                       containerID='containerd://' + container_id(w.uid, c['name'], w.attempt))
        elif c.get('image') in images_missing:
            row['state'] = {'waiting': {'reason': 'ImagePullBackOff', 'message': 'Back-off pulling image "%s"' % c['image']}}
        else:
            row['state'] = {'waiting': {'reason': 'ContainerCreating'}}
        rows.append(row)
    unready = None if running else 'ContainersNotReady'
    out = {'phase': 'Running' if running or w.state == 'vanished' else 'Pending', 'startTime': w.accepted, 'hostIP': node_ip, 'hostIPs': [{'ip': node_ip}], 'qosClass': w.qos,
           'containerStatuses': rows, 'conditions': [
               _condition('PodReadyToStartContainers', w.state == 'running', since), _condition('Initialized', True, w.accepted),
               _condition('Ready', running, since, unready), _condition('ContainersReady', running, since, unready),
               _condition('PodScheduled', True, w.accepted)]}
    if w.ip:
        out.update(podIP=w.ip, podIPs=[{'ip': w.ip}])
    return out


def matches(obj, wanted):
    """Does the API's object say what we would write (phase and readiness, which others change too)?"""
    have = obj.get('status') or {}

    def ready(status):
        return next((c.get('status') for c in status.get('conditions') or [] if c.get('type') == 'Ready'), None)
    ids = [c.get('containerID') for c in have.get('containerStatuses') or []]
    return have.get('phase') == wanted['phase'] and have.get('reason') == wanted.get('reason') and (
        wanted['phase'] == 'Failed' or (ready(have) == ready(wanted) and ids == [c.get('containerID') for c in wanted['containerStatuses']]))


def of_node(o, boot_id, since):
    """The status of the node; o are the options of kubelet.py."""
    rows = [('MemoryPressure', False, 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
            ('DiskPressure', False, 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
            ('PIDPressure', False, 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
            ('Ready', True, 'KubeletReady', 'kubelet is posting ready status')]
    stamp = now()
    conditions = [{'type': t, 'status': 'True' if ok else 'False', 'reason': r, 'message': m, 'lastHeartbeatTime': stamp, 'lastTransitionTime': since}
                  for t, ok, r, m in rows]
    room = {'cpu': o.cpu, 'memory': o.memory, 'pods': str(o.max_pods), 'ephemeral-storage': '100Gi'}
    images = [{'names': [i], 'sizeBytes': 1 << 20} for i in (o.image or ['localhost/busybox:1'])]
    return {'addresses': [{'type': 'InternalIP', 'address': o.node_ip}, {'type': 'Hostname', 'address': o.node_name}], 'capacity': room,
            'allocatable': dict(room), 'conditions': conditions, 'daemonEndpoints': {'kubeletEndpoint': {'Port': o.port}}, 'images': images,
            'nodeInfo': {'architecture': 'amd64', 'bootID': boot_id, 'containerRuntimeVersion': 'kubesim://1', 'kernelVersion': '6.1.0-kubesim',
                         'kubeProxyVersion': '', 'kubeletVersion': 'v1.36.0-kubesim', 'machineID': container_id('machine', o.node_name)[:32],
                         'operatingSystem': 'linux', 'osImage': 'kubesim', 'systemUUID': boot_id}}


def room_of(o):
    return quantity.milli(o.cpu), quantity.units(o.memory), o.max_pods
