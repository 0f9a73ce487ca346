"""What a real kubelet 1.36 does with a static-pod manifest, as rules. test/data/static-pods.json holds the cases they were taken from.

Three verdicts: the file is refused (`Refused`, nothing is created), the pod is denied at admission (it exists and has failed), or it runs;
a pod whose image is missing is accepted but its container does not start.
"""
import copy
import hashlib
import json

import quantity
import selection
import validate

MAX_BYTES = 10 << 20
MIRROR, SOURCE, HASH, SEEN = ('kubernetes.io/config.mirror', 'kubernetes.io/config.source', 'kubernetes.io/config.hash', 'kubernetes.io/config.seen')


class Refused(Exception):
    pass


def _invalid(field, text):
    return Refused('invalid pod: [%s: %s]' % (field, text))


def _may_not(what):
    return Refused('static pods may not reference ' + what)


def apply_defaults(pod, path, node):
    """The pod as kubelet makes it of a file: node name, namespace, uid (that of the file, else a hash of host, path and content)."""
    pod = copy.deepcopy(pod)
    if not isinstance(pod, dict) or not isinstance(pod.get('metadata') or {}, dict) or not isinstance(pod.get('spec') or {}, dict):
        raise Refused('couldn\'t parse as pod: not a Pod object')
    if pod.get('kind') != 'Pod' or pod.get('apiVersion') != 'v1':
        raise Refused('couldn\'t parse as pod: Object \'Kind\' or \'apiVersion\' is not that of a v1 Pod')
    meta, spec = pod.setdefault('metadata', {}), pod.setdefault('spec', {})
    meta['namespace'] = meta.get('namespace') or 'default'
    if not meta.get('uid'):
        digest = hashlib.md5(json.dumps(pod, sort_keys=True).encode())
        digest.update(('host:%s' % node).encode())
        digest.update(('file:%s' % path).encode())
        meta['uid'] = digest.hexdigest()
    meta['name'] = '%s-%s' % (meta.get('name') or '', node.lower())
    for k in ('generateName', 'resourceVersion', 'creationTimestamp', 'deletionTimestamp'):
        meta.pop(k, None)
    meta.setdefault('annotations', {}).update({SOURCE: 'file', HASH: meta['uid']})
    spec['nodeName'] = node
    spec.setdefault('tolerations', []).append({'operator': 'Exists', 'effect': 'NoExecute'})
    spec.setdefault('restartPolicy', 'Always')
    spec.setdefault('terminationGracePeriodSeconds', 30)
    pod['status'] = {'phase': 'Pending'}
    return pod


def check_file(pod):
    """Raises Refused for a pod (with defaults) that kubelet does not take from a file. Validation comes first, then references."""
    meta, spec = pod['metadata'], pod['spec']
    if not validate.SUBDOMAIN.match(meta['name']) or len(meta['name']) > 253:
        raise _invalid('metadata.name', 'Invalid value: "%s": %s' % (meta['name'], validate.SUBDOMAIN_HELP))
    if spec.get('ephemeralContainers'):
        raise _invalid('spec.ephemeralContainers', 'Forbidden: cannot be set on create')
    if spec.get('schedulingGates'):
        raise _invalid('spec.nodeName', 'Forbidden: cannot be set until all schedulingGates have been cleared')
    for i, v in enumerate(spec.get('volumes') or []):
        for j, s in enumerate((v.get('projected') or {}).get('sources') or []):
            if 'serviceAccountToken' in s and not spec.get('serviceAccountName'):
                raise _invalid('spec.volumes[%d].projected.sources[%d].serviceAccountToken' % (i, j),
                               'Forbidden: must not be specified when serviceAccountName is not set')
    causes = validate.pod_spec(spec, 'spec')
    if causes:
        raise Refused('invalid pod: [%s]' % ', '.join('%s: %s' % (f, m) for f, _, m in causes))
    _check_references(spec)


def _check_references(spec):
    """Since 1.34 (feature PreventStaticPodAPIReferences) nothing that only the API server has may be named."""
    if spec.get('serviceAccountName') or spec.get('serviceAccount'):
        raise _may_not('serviceaccounts')
    if spec.get('imagePullSecrets'):
        raise _may_not('secrets')
    if spec.get('resourceClaims'):
        raise _may_not('resourceclaims')
    for c in (spec.get('initContainers') or []) + (spec.get('containers') or []):
        for source in c.get('envFrom') or []:
            _check_source(source, 'secretRef', 'configMapRef')
        for env in c.get('env') or []:
            _check_source(env.get('valueFrom') or {}, 'secretKeyRef', 'configMapKeyRef')
    for v in spec.get('volumes') or []:
        _check_source(v, 'secret', 'configMap')
        for s in (v.get('projected') or {}).get('sources') or []:
            _check_source(s, 'secret', 'configMap')
            if 'serviceAccountToken' in s:
                raise _may_not('serviceaccounts')
            if 'clusterTrustBundle' in s:
                raise _may_not('clustertrustbundles')
        if 'persistentVolumeClaim' in v:
            raise _may_not('persistentvolumeclaims')
        if 'ephemeral' in v:
            raise _may_not('persistentvolumeclaims (via ephemeral volumes)')
        if 'csi' in v:
            raise _may_not('csidrivers (via CSI volumes)')
        for kind in ('azureFile', 'cephfs', 'cinder', 'flexVolume', 'iscsi', 'rbd', 'scaleIO', 'storageos'):
            if isinstance(v.get(kind), dict) and (v[kind].get('secretRef') or v[kind].get('secretName')):
                raise _may_not('secrets')


def _check_source(source, secret, config):
    if source.get(secret) is not None:
        raise _may_not('secrets')
    if source.get(config) is not None:
        raise _may_not('configmaps')


def is_static(pod):
    return (pod['metadata'].get('annotations') or {}).get(SOURCE) == 'file'


def is_critical(pod):
    """Static pods are critical whatever their priority says, and so is a pod with a system priority."""
    return is_static(pod) or (pod['spec'].get('priority') or 0) >= 2000000000


class Denied(Exception):
    def __init__(self, reason, message):
        super().__init__(message)
        self.reason, self.message = reason, message


def host_ports(spec):
    out = set()
    for c in spec.get('containers') or []:
        for p in c.get('ports') or []:
            port = p.get('hostPort') or (p.get('containerPort') if spec.get('hostNetwork') else None)
            if port:
                out.add((p.get('protocol', 'TCP'), port))
    return out


def admit(pod, others, room, labels, node):
    """Admission on the node: affinity and room. Returns the pods to evict for a critical pod; raises Denied.

    room is (milli-CPU, bytes, pods) of the node's allocatable; NoExecute taints are not checked, as by kubelet for static pods.
    """
    spec = pod['spec']
    if not selection.node_affinity_ok(spec, labels, node):
        raise Denied('NodeAffinity', "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector")
    if any(host_ports(spec) & host_ports(o['spec']) for o in others):
        raise Denied('NodePorts', "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports")
    used = [quantity.pod_requests(o['spec']) for o in others]
    wanted = quantity.pod_requests(spec)
    rows = [('cpu', 'cpu', wanted[0], sum(u[0] for u in used), room[0]), ('memory', 'memory', wanted[1], sum(u[1] for u in used), room[1]),
            ('pods', 'pods', 1, len(others), room[2])]
    short = [(res, need + have - limit, need, have, limit) for res, _, need, have, limit in rows if need and need + have > limit]
    if not short:
        return []
    if not is_critical(pod):
        res, _, need, have, limit = short[0]
        raise Denied('OutOf' + res, 'Node didn\'t have enough resource: %s, requested: %d, used: %d, capacity: %d' % (res, need, have, limit))
    return _victims(others, short)


def _victims(others, short):
    """The fewest other pods, lowest priority and youngest first, whose end makes room for a critical pod."""
    out, left = [], {res: over for res, over, _, _, _ in short}
    candidates = sorted((o for o in others if not is_critical(o)), key=lambda o: (o['spec'].get('priority') or 0))
    for o in candidates:
        if all(v <= 0 for v in left.values()):
            break
        cpu, memory = quantity.pod_requests(o['spec'])
        gain = {'cpu': cpu, 'memory': memory, 'pods': 1}
        if any(left[res] > 0 and gain[res] for res in left):
            out.append(o)
            for res in left:
                left[res] -= gain[res]
    if any(v > 0 for v in left.values()):
        needs = ''.join('(res: %s, q: %d), ' % (res, over) for res, over, _, _, _ in short)
        raise Denied('UnexpectedAdmissionError', 'Unexpected error while attempting to recover from admission failure: preemption: error '
                     'finding a set of pods to preempt: no set of running pods found to reclaim resources: [%s]' % needs)
    return out


def image_missing(image, present):
    """Is the image absent from the node? Without a list all are there, but for the registry that cannot exist."""
    if not present:
        return image.split('/')[0] == 'registry.invalid'
    return image not in present


def missing_images(pod, present):
    containers = (pod['spec'].get('initContainers') or []) + (pod['spec'].get('containers') or [])
    return [c['image'] for c in containers if image_missing(c.get('image', ''), present)]
