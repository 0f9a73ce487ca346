"""Defaulting and admission: what a real server adds to objects when they are created."""
import base64
import random

import quantity
from store import new_uid, now

ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'           # the letters the real name generator uses
TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
MIRROR = 'kubernetes.io/config.mirror'
PRIORITIES = {'system-node-critical': 2000001000, 'system-cluster-critical': 2000000000}


def suffix(n=5):
    return ''.join(random.choice(ALPHABET) for _ in range(n))


def container(c):
    image = c.get('image') or ''
    if 'imagePullPolicy' not in c:
        tag = image.rsplit('/', 1)[-1]
        c['imagePullPolicy'] = 'Always' if ('@' not in tag and (':' not in tag or tag.endswith(':latest'))) else 'IfNotPresent'
    c.setdefault('resources', {})
    limits, requests = c['resources'].get('limits'), c['resources'].get('requests') or {}
    if limits:
        c['resources']['requests'] = dict(limits, **requests)
    c.setdefault('terminationMessagePath', '/dev/termination-log')
    c.setdefault('terminationMessagePolicy', 'File')
    for p in c.get('ports') or []:
        p.setdefault('protocol', 'TCP')
    for e in c.get('env') or []:
        ref = (e.get('valueFrom') or {}).get('fieldRef')
        if ref is not None:
            ref.setdefault('apiVersion', 'v1')


def pod_spec(spec):
    for field, value in (('restartPolicy', 'Always'), ('terminationGracePeriodSeconds', 30), ('dnsPolicy', 'ClusterFirst'),
                         ('securityContext', {}), ('schedulerName', 'default-scheduler')):
        spec.setdefault(field, value)
    if 'serviceAccountName' in spec:
        spec.setdefault('serviceAccount', spec['serviceAccountName'])
    for c in (spec.get('containers') or []) + (spec.get('initContainers') or []):
        if isinstance(c, dict):
            container(c)
    for v in spec.get('volumes') or []:
        for kind in ('configMap', 'secret', 'downwardAPI', 'projected'):
            if isinstance(v.get(kind), dict):
                v[kind].setdefault('defaultMode', 420)
        if 'hostPath' in v:
            v['hostPath'].setdefault('type', '')


def admit_pod(pod, creator_mirror):
    """Service account, priority and toleration admission. A mirror pod stays as the kubelet wrote it."""
    spec = pod['spec']
    spec.setdefault('enableServiceLinks', True)
    spec.setdefault('preemptionPolicy', 'PreemptLowerPriority')
    spec['priority'] = PRIORITIES.get(spec.get('priorityClassName'), spec.get('priority', 0))
    if not creator_mirror:
        spec.setdefault('serviceAccountName', 'default')
        spec['serviceAccount'] = spec['serviceAccountName']
        if spec.get('automountServiceAccountToken', True):
            mount_token(spec)
    if spec.get('hostNetwork'):               # of Pods only: a template keeps what it says
        for c in (spec.get('containers') or []) + (spec.get('initContainers') or []):
            for p in c.get('ports') or []:
                p.setdefault('hostPort', p.get('containerPort', 0))
    have = spec.setdefault('tolerations', [])
    for key in ('node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'):
        if not any((not t.get('key') or t.get('key') == key) and t.get('effect') in (None, '', 'NoExecute') for t in have):
            have.append({'key': key, 'operator': 'Exists', 'effect': 'NoExecute', 'tolerationSeconds': 300})


def mount_token(spec):
    containers = (spec.get('containers') or []) + (spec.get('initContainers') or [])
    if all(any(m.get('mountPath') == TOKEN_PATH for m in c.get('volumeMounts') or []) for c in containers):
        return
    name = 'kube-api-access-' + suffix()
    spec.setdefault('volumes', []).append({'name': name, 'projected': {'sources': [
        {'serviceAccountToken': {'expirationSeconds': 3607, 'path': 'token'}},
        {'configMap': {'name': 'kube-root-ca.crt', 'items': [{'key': 'ca.crt', 'path': 'ca.crt'}]}},
        {'downwardAPI': {'items': [{'path': 'namespace', 'fieldRef': {'apiVersion': 'v1', 'fieldPath': 'metadata.namespace'}}]}}],
        'defaultMode': 420}})
    for c in containers:
        mounts = c.setdefault('volumeMounts', [])
        if not any(m.get('mountPath') == TOKEN_PATH for m in mounts):
            mounts.append({'name': name, 'readOnly': True, 'mountPath': TOKEN_PATH})


def metadata(res, obj, ns):
    """Server-set metadata of a new object."""
    meta = obj.setdefault('metadata', {})
    for k in ('resourceVersion', 'uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds', 'generation',
              'selfLink', 'managedFields'):
        meta.pop(k, None)
    if not meta.get('name') and meta.get('generateName'):
        meta['name'] = meta['generateName'][:58] + suffix()
    if res.namespaced:
        meta['namespace'] = ns
    else:
        meta.pop('namespace', None)
    meta['uid'], meta['creationTimestamp'] = new_uid(), now()
    return meta


def on_create(res, obj):
    """Defaults by kind, and the status that a new object starts with."""
    kind, spec = res.kind, obj.setdefault('spec', {}) if res.kind not in NO_SPEC else {}
    if kind == 'Pod':
        pod_spec(spec)
        mirror = MIRROR in (obj['metadata'].get('annotations') or {})
        admit_pod(obj, mirror)
        obj['status'] = {'phase': 'Pending', 'qosClass': quantity.qos_class(spec)}
        if spec.get('schedulingGates'):
            obj['status']['conditions'] = [{'type': 'PodScheduled', 'status': 'False', 'reason': 'SchedulingGated', 'lastProbeTime': None,
                                            'lastTransitionTime': now(), 'message': 'Scheduling is blocked due to non-empty scheduling gates'}]
    elif kind in ('ReplicaSet', 'Deployment', 'StatefulSet'):
        spec.setdefault('replicas', 1)
        pod_spec(spec.setdefault('template', {}).setdefault('spec', {}))
        spec['template'].setdefault('metadata', {})
        obj['status'] = {} if kind == 'Deployment' else {'replicas': 0}
        if kind == 'Deployment':
            spec.setdefault('revisionHistoryLimit', 10)
            spec.setdefault('progressDeadlineSeconds', 600)
            strategy = spec.setdefault('strategy', {})
            if strategy.setdefault('type', 'RollingUpdate') == 'RollingUpdate':
                ru = strategy.setdefault('rollingUpdate', {})
                ru.setdefault('maxSurge', '25%')
                ru.setdefault('maxUnavailable', '25%')
    elif kind == 'DaemonSet':
        pod_spec(spec.setdefault('template', {}).setdefault('spec', {}))
        spec.setdefault('revisionHistoryLimit', 10)
        obj['status'] = {'currentNumberScheduled': 0, 'numberMisscheduled': 0, 'desiredNumberScheduled': 0, 'numberReady': 0}
    elif kind == 'Namespace':
        spec.setdefault('finalizers', ['kubernetes'])
        obj['metadata'].setdefault('labels', {})['kubernetes.io/metadata.name'] = obj['metadata']['name']
        obj['status'] = {'phase': 'Active'}
    elif kind == 'PodDisruptionBudget':
        obj['status'] = {'disruptionsAllowed': 0, 'currentHealthy': 0, 'desiredHealthy': 0, 'expectedPods': 0}
    elif kind == 'Service':
        spec.setdefault('type', 'ClusterIP')
        spec.setdefault('clusterIP', '10.96.%d.%d' % (random.randrange(1, 255), random.randrange(1, 255)))
        spec.setdefault('sessionAffinity', 'None')
        for p in spec.get('ports') or []:
            p.setdefault('protocol', 'TCP')
            p.setdefault('targetPort', p.get('port'))
        obj.setdefault('status', {'loadBalancer': {}})
    elif kind == 'Secret':
        obj.setdefault('type', 'Opaque')
        for k, v in (obj.pop('stringData', None) or {}).items():
            obj.setdefault('data', {})[k] = base64.b64encode(v.encode()).decode()
    elif kind == 'Node':
        obj.setdefault('status', {})


NO_SPEC = {'ConfigMap', 'Secret', 'ServiceAccount', 'Event', 'Endpoints', 'EndpointSlice', 'Role', 'RoleBinding', 'ClusterRole',
           'ClusterRoleBinding', 'PriorityClass'}


def on_update(res, obj):
    """Defaults again for what an update may have brought in."""
    spec = obj.get('spec') or {}
    if res.kind == 'Pod':
        pod_spec(spec)
    elif isinstance(spec.get('template'), dict) and isinstance(spec['template'].get('spec'), dict):
        pod_spec(spec['template']['spec'])
