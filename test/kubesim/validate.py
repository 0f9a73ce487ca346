"""Validation of what the cases of edge-healer touch: names, pods, selectors, and what may change in an update."""
import re

import quantity
import selection
from errors import invalid

SUBDOMAIN = re.compile(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')
LABEL = re.compile(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')
LABEL_KEY = re.compile(r'^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')
LABEL_VALUE = re.compile(r'^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')
SUBDOMAIN_HELP = ("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
                  "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
                  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')")
REQUIRED, INVALID, FORBIDDEN, DUPLICATE = 'FieldValueRequired', 'FieldValueInvalid', 'FieldValueForbidden', 'FieldValueDuplicate'
ANY_NAME = {'Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding'}


def _metadata(res, meta):
    out, name = [], meta.get('name')
    if not name:
        return [('metadata.name', REQUIRED, 'Required value: name or generateName is required')]
    pattern = LABEL if res.kind in ('Namespace', 'Service') else SUBDOMAIN
    if res.kind not in ANY_NAME and (len(name) > 253 or not pattern.match(name)):
        out.append(('metadata.name', INVALID, 'Invalid value: "%s": %s' % (name, SUBDOMAIN_HELP)))
    for k, v in (meta.get('labels') or {}).items():
        if not LABEL_KEY.match(k):
            out.append(('metadata.labels', INVALID, 'Invalid value: "%s": name part must consist of alphanumeric characters' % k))
        if not isinstance(v, str) or len(v) > 63 or not LABEL_VALUE.match(v):
            out.append(('metadata.labels', INVALID, 'Invalid value: "%s": a valid label must be an empty string or consist of '
                        'alphanumeric characters, \'-\', \'_\' or \'.\'' % v))
    return out


def pod_spec(spec, at):
    out, seen = [], set()
    containers = spec.get('containers')
    if not containers:
        return [(at + '.containers', REQUIRED, 'Required value')]
    volumes = {v.get('name') for v in spec.get('volumes') or []}
    for group in ('initContainers', 'containers'):
        for i, c in enumerate(spec.get(group) or []):
            here, name = '%s.%s[%d]' % (at, group, i), c.get('name')
            if not name:
                out.append((here + '.name', REQUIRED, 'Required value'))
            elif name in seen:
                out.append((here + '.name', DUPLICATE, 'Duplicate value: "%s"' % name))
            elif len(name) > 63 or not LABEL.match(name):
                out.append((here + '.name', INVALID, 'Invalid value: "%s": a lowercase RFC 1123 label must consist of lower case '
                            'alphanumeric characters or \'-\'' % name))
            seen.add(name)
            if not c.get('image'):
                out.append((here + '.image', REQUIRED, 'Required value'))
            for j, m in enumerate(c.get('volumeMounts') or []):
                if m.get('name') not in volumes:
                    out.append(('%s.volumeMounts[%d].name' % (here, j), 'FieldValueNotFound', 'Not found: "%s"' % m.get('name')))
            for kind in ('requests', 'limits'):
                for k, v in ((c.get('resources') or {}).get(kind) or {}).items():
                    try:
                        quantity.parse(v)
                    except ValueError:
                        out.append(('%s.resources.%s[%s]' % (here, kind, k), INVALID, 'Invalid value: "%s"' % v))
    if spec.get('restartPolicy') not in ('Always', 'OnFailure', 'Never', None):
        out.append((at + '.restartPolicy', 'FieldValueNotSupported', 'Unsupported value: "%s"' % spec['restartPolicy']))
    return out


def _workload(obj):
    spec = obj.get('spec') or {}
    if not spec.get('selector'):
        return [('spec.selector', REQUIRED, 'Required value')]
    labels = ((spec.get('template') or {}).get('metadata') or {}).get('labels') or {}
    out = []
    if not selection.matches(selection.from_object(spec['selector']), labels):
        out.append(('spec.template.metadata.labels', INVALID, 'Invalid value: %s: `selector` does not match template `labels`' % labels))
    if isinstance(spec.get('replicas'), int) and spec['replicas'] < 0:
        out.append(('spec.replicas', INVALID, 'Invalid value: %d: must be greater than or equal to 0' % spec['replicas']))
    template = dict((spec.get('template') or {}).get('spec') or {})
    if template.get('restartPolicy', 'Always') != 'Always':
        out.append(('spec.template.spec.restartPolicy', 'FieldValueNotSupported', 'Unsupported value: "%s": supported values: "Always"'
                    % template['restartPolicy']))
    return out + pod_spec(template, 'spec.template.spec')


def _causes(res, obj):
    out = _metadata(res, obj['metadata'])
    spec = obj.get('spec') or {}
    if res.kind == 'Pod':
        out += pod_spec(spec, 'spec')
        if spec.get('schedulingGates') and spec.get('nodeName'):
            out.append(('spec.nodeName', FORBIDDEN, 'Forbidden: cannot be set until all schedulingGates have been cleared'))
    elif res.kind in ('ReplicaSet', 'Deployment', 'DaemonSet', 'StatefulSet'):
        out += _workload(obj)
    elif res.kind == 'Lease' and 'leaseDurationSeconds' in spec and spec['leaseDurationSeconds'] <= 0:
        out.append(('spec.leaseDurationSeconds', INVALID, 'Invalid value: %d: must be greater than 0' % spec['leaseDurationSeconds']))
    elif res.kind == 'Event':
        ns = (obj.get('involvedObject') or {}).get('namespace')
        if ns and ns != obj['metadata'].get('namespace'):
            out.append(('involvedObject.namespace', INVALID, 'Invalid value: "%s": does not match event.namespace' % ns))
    elif res.kind == 'Node':
        for i, t in enumerate(spec.get('taints') or []):
            if t.get('effect') not in ('NoSchedule', 'PreferNoSchedule', 'NoExecute'):
                out.append(('spec.taints[%d].effect' % i, 'FieldValueNotSupported', 'Unsupported value: "%s"' % t.get('effect')))
    return out


def created(res, obj):
    causes = _causes(res, obj)
    if causes:
        raise invalid(res, obj['metadata'].get('name', ''), causes)


MUTABLE = ('image',)


def _pod_spec_frozen(spec):
    out = {k: v for k, v in spec.items() if k not in ('activeDeadlineSeconds', 'tolerations', 'terminationGracePeriodSeconds',
                                                      'schedulingGates', 'ephemeralContainers', 'nodeSelector', 'affinity')}
    for group in ('containers', 'initContainers'):
        out[group] = [{k: v for k, v in c.items() if k not in MUTABLE} for c in spec.get(group) or []]
    return out


def updated(res, obj, old):
    causes = _causes(res, obj)
    new_spec, old_spec = obj.get('spec') or {}, old.get('spec') or {}
    if res.kind == 'Pod' and not causes and _pod_spec_frozen(new_spec) != _pod_spec_frozen(old_spec):
        causes.append(('spec', FORBIDDEN, 'Forbidden: pod updates may not change fields other than `spec.containers[*].image`,'
                       '`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing '
                       'tolerations),`spec.terminationGracePeriodSeconds`'))
    if res.kind in ('ReplicaSet', 'Deployment', 'DaemonSet', 'StatefulSet') and new_spec.get('selector') != old_spec.get('selector'):
        causes.append(('spec.selector', INVALID, 'Invalid value: field is immutable'))
    if causes:
        raise invalid(res, obj['metadata'].get('name', ''), causes)
