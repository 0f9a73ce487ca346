"""The Table form of lists, which kubectl get asks for: columns by kind, as a real server prints them."""
import calendar
import time

import selection


def wanted(accept):
    """True if the client prefers a Table to plain JSON."""
    first = accept.split(',')[0]
    return 'as=Table' in first and 'json' in first


def age(stamp):
    if not stamp:
        return '<unknown>'
    s = int(time.time() - calendar.timegm(time.strptime(stamp[:19], '%Y-%m-%dT%H:%M:%S')))
    if s < 0:
        return '0s'
    if s < 120:
        return '%ds' % s
    if s < 600:
        return '%dm%s' % (s // 60, '%ds' % (s % 60) if s % 60 else '')
    if s < 3 * 3600:
        return '%dm' % (s // 60)
    if s < 8 * 3600:
        return '%dh%s' % (s // 3600, '%dm' % (s // 60 % 60) if s // 60 % 60 else '')
    if s < 48 * 3600:
        return '%dh' % (s // 3600)
    return '%dd' % (s // 86400)


def _none(x):
    return x if x not in (None, '', [], {}) else '<none>'


def _containers(spec):
    c = spec.get('containers') or []
    return [', '.join(x.get('name', '') for x in c).replace(', ', ','), ','.join(x.get('image', '') for x in c)]


def _pod_status(o):
    """The STATUS column: a container's waiting or terminated reason beats the phase."""
    status = o.get('status') or {}
    text = status.get('reason') or status.get('phase') or 'Unknown'
    for c in status.get('conditions') or []:
        if c.get('type') == 'PodScheduled' and c.get('reason') == 'SchedulingGated':
            text = 'SchedulingGated'
    for c in reversed(status.get('containerStatuses') or []):
        state = c.get('state') or {}
        if (state.get('waiting') or {}).get('reason'):
            text = state['waiting']['reason']
        elif (state.get('terminated') or {}).get('reason'):
            text = state['terminated']['reason']
    if 'deletionTimestamp' in o['metadata']:
        text = 'Unknown' if status.get('reason') == 'NodeLost' else 'Terminating'
    return text


def _pod(o):
    spec, status = o['spec'], o.get('status') or {}
    rows = status.get('containerStatuses') or []
    gates = spec.get('readinessGates')
    return ['%d/%d' % (sum(1 for c in rows if c.get('ready')), len(spec.get('containers') or [])), _pod_status(o),
            str(sum(c.get('restartCount', 0) for c in rows)), age(o['metadata'].get('creationTimestamp')), _none(status.get('podIP')),
            _none(spec.get('nodeName')), _none(status.get('nominatedNodeName')), '0/%d' % len(gates) if gates else '<none>']


def _node(o):
    status, info = o.get('status') or {}, (o.get('status') or {}).get('nodeInfo') or {}
    ready = next((c.get('status') for c in status.get('conditions') or [] if c.get('type') == 'Ready'), None)
    text = {'True': 'Ready', None: 'Unknown'}.get(ready, 'NotReady')
    if (o.get('spec') or {}).get('unschedulable'):
        text += ',SchedulingDisabled'
    roles = ','.join(sorted(k.split('/', 1)[1] for k in o['metadata'].get('labels') or {} if k.startswith('node-role.kubernetes.io/')))
    ip = next((a['address'] for a in status.get('addresses') or [] if a.get('type') == 'InternalIP'), None)
    return [text, _none(roles), age(o['metadata'].get('creationTimestamp')), info.get('kubeletVersion', ''), _none(ip), '<none>',
            info.get('osImage') or '<unknown>', info.get('kernelVersion') or '<unknown>', info.get('containerRuntimeVersion') or '<unknown>']


def _replicaset(o):
    status = o.get('status') or {}
    return [o['spec'].get('replicas', 0), status.get('replicas', 0), status.get('readyReplicas', 0), age(o['metadata'].get('creationTimestamp'))
            ] + _containers(o['spec']['template']['spec']) + [selection.to_text(o['spec'].get('selector') or {})]


def _deployment(o):
    status = o.get('status') or {}
    return ['%d/%d' % (status.get('readyReplicas', 0), o['spec'].get('replicas', 0)), status.get('updatedReplicas', 0),
            status.get('availableReplicas', 0), age(o['metadata'].get('creationTimestamp'))
            ] + _containers(o['spec']['template']['spec']) + [selection.to_text(o['spec'].get('selector') or {})]


def _daemonset(o):
    s = o.get('status') or {}
    return [s.get('desiredNumberScheduled', 0), s.get('currentNumberScheduled', 0), s.get('numberReady', 0), s.get('updatedNumberScheduled', 0),
            s.get('numberAvailable', 0), ','.join('%s=%s' % kv for kv in (o['spec']['template']['spec'].get('nodeSelector') or {}).items()) or '<none>',
            age(o['metadata'].get('creationTimestamp'))] + _containers(o['spec']['template']['spec']) + [selection.to_text(o['spec'].get('selector') or {})]


def _event(o):
    about = o.get('involvedObject') or {}
    last = o.get('lastTimestamp') or o.get('eventTime') or o['metadata'].get('creationTimestamp')
    return [age(last), o.get('type', ''), o.get('reason', ''), '%s/%s' % (about.get('kind', '').lower(), about.get('name', '')),
            about.get('fieldPath', ''), (o.get('source') or {}).get('component', ''), (o.get('message') or '').strip(),
            age(o.get('firstTimestamp') or last), o.get('count', 1), o['metadata']['name']]


def _service(o):
    spec = o.get('spec') or {}
    ports = ','.join('%s/%s' % (p.get('port'), p.get('protocol', 'TCP')) for p in spec.get('ports') or [])
    return [spec.get('type', ''), _none(spec.get('clusterIP')), '<none>', _none(ports), age(o['metadata'].get('creationTimestamp')),
            ','.join('%s=%s' % kv for kv in (spec.get('selector') or {}).items()) or '<none>']


def _lease(o):
    return [(o.get('spec') or {}).get('holderIdentity', ''), age(o['metadata'].get('creationTimestamp'))]


def _pdb(o):
    spec, status = o.get('spec') or {}, o.get('status') or {}
    return [str(spec.get('minAvailable', 'N/A')), str(spec.get('maxUnavailable', 'N/A')), status.get('disruptionsAllowed', 0),
            age(o['metadata'].get('creationTimestamp'))]


def _slice(o):
    addresses = [a for e in o.get('endpoints') or [] for a in e.get('addresses') or []]
    return [o.get('addressType', ''), ','.join(str(p.get('port')) for p in o.get('ports') or []) or '<unset>', ','.join(addresses) or '<unset>',
            age(o['metadata'].get('creationTimestamp'))]


def _age_only(o):
    return [age(o['metadata'].get('creationTimestamp'))]


# columns after Name; those with * are shown with -o wide only
KINDS = {
    'Pod': ('Ready Status Restarts Age *IP *Node *Nominated_Node *Readiness_Gates', _pod),
    'Node': ('Status Roles Age Version *Internal-IP *External-IP *OS-Image *Kernel-Version *Container-Runtime', _node),
    'ReplicaSet': ('Desired Current Ready Age *Containers *Images *Selector', _replicaset),
    'Deployment': ('Ready Up-to-date Available Age *Containers *Images *Selector', _deployment),
    'DaemonSet': ('Desired Current Ready Up-to-date Available Node_Selector Age *Containers *Images *Selector', _daemonset),
    'Service': ('Type Cluster-IP External-IP Port(s) Age *Selector', _service),
    'Namespace': ('Status Age', lambda o: [(o.get('status') or {}).get('phase', ''), age(o['metadata'].get('creationTimestamp'))]),
    'ConfigMap': ('Data Age', lambda o: [len(o.get('data') or {}), age(o['metadata'].get('creationTimestamp'))]),
    'Secret': ('Type Data Age', lambda o: [o.get('type', ''), len(o.get('data') or {}), age(o['metadata'].get('creationTimestamp'))]),
    'ServiceAccount': ('Secrets Age', lambda o: [len(o.get('secrets') or []), age(o['metadata'].get('creationTimestamp'))]),
    'Lease': ('Holder Age', _lease),
    'PodDisruptionBudget': ('Min_Available Max_Unavailable Allowed_Disruptions Age', _pdb),
    'EndpointSlice': ('AddressType Ports Endpoints Age', _slice),
}
EVENT_COLUMNS = 'Last_Seen Type Reason Object *Subobject *Source Message *First_Seen *Count *Name'


def _columns(kind):
    names = EVENT_COLUMNS if kind == 'Event' else 'Name ' + KINDS.get(kind, ('Age', None))[0]
    out = []
    for n in names.split():
        title = n.lstrip('*').replace('_', ' ')
        out.append({'name': title, 'type': 'string', 'format': 'name' if title == 'Name' else '', 'description': '',
                    'priority': 1 if n.startswith('*') else 0})
    return out


def of_list(res, entries, rv, include=None):
    """A Table with a row for each entry; include is the includeObject parameter."""
    cells = _event if res.kind == 'Event' else KINDS.get(res.kind, (None, _age_only))[1]
    rows = []
    for e in entries:
        obj = e.obj
        row = {'cells': cells(obj) if res.kind == 'Event' else [e.name] + cells(obj)}
        if include == 'Object':
            row['object'] = obj
        elif include != 'None':
            row['object'] = {'kind': 'PartialObjectMetadata', 'apiVersion': 'meta.k8s.io/v1', 'metadata': obj['metadata']}
        rows.append(row)
    return {'kind': 'Table', 'apiVersion': 'meta.k8s.io/v1', 'metadata': {'resourceVersion': rv}, 'columnDefinitions': _columns(res.kind), 'rows': rows}
