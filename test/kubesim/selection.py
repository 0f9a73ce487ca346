"""Label and field selectors: parsing as the API server does it, and matching. Also node affinity and taints."""
import re

from errors import bad_request

NAME = r'[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?'
VALUE = r'(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?'
_SET = re.compile(r'^(%s)\s+(in|notin)\s*\(([^()]*)\)$' % NAME)
_EQUAL = re.compile(r'^(%s)\s*(==|!=|=)\s*(%s)$' % (NAME, VALUE))
_EXISTS = re.compile(r'^(!?)\s*(%s)$' % NAME)
_COMPARE = re.compile(r'^(%s)\s*([<>])\s*(-?\d+)$' % NAME)
_FIELD = re.compile(r'^([^=!]+)(==|!=|=)(.*)$')


def _split(text):
    """Splits at commas outside of parentheses."""
    out, depth, cur = [], 0, ''
    for ch in text:
        depth += (ch == '(') - (ch == ')')
        if ch == ',' and depth == 0:
            out.append(cur)
            cur = ''
        else:
            cur += ch
    return out + [cur]


def parse_labels(text):
    """A list of (key, operator, values); operators In NotIn Exists DoesNotExist Gt Lt."""
    out = []
    if not text or not text.strip():
        return out
    for part in (p.strip() for p in _split(text)):
        m = _SET.match(part)
        if m:
            values = [v.strip() for v in m.group(3).split(',')]
            out.append((m.group(1), 'In' if m.group(2) == 'in' else 'NotIn', values))
            continue
        m = _EQUAL.match(part)
        if m:
            out.append((m.group(1), 'NotIn' if m.group(2) == '!=' else 'In', [m.group(3)]))
            continue
        m = _COMPARE.match(part)
        if m:
            out.append((m.group(1), 'Gt' if m.group(2) == '>' else 'Lt', [m.group(3)]))
            continue
        m = _EXISTS.match(part)
        if not m:
            raise bad_request('unable to parse requirement: found %r' % part)
        out.append((m.group(2), 'DoesNotExist' if m.group(1) else 'Exists', []))
    return out


def from_object(selector):
    """A LabelSelector object (matchLabels, matchExpressions) as the list parse_labels makes. None selects nothing."""
    if selector is None:
        return None
    out = [(k, 'In', [v]) for k, v in (selector.get('matchLabels') or {}).items()]
    for e in selector.get('matchExpressions') or []:
        out.append((e.get('key'), e.get('operator'), e.get('values') or []))
    return out


def to_text(selector):
    """As the scale subresource writes it: app=r0,x in (a,b)."""
    out = []
    for key, op, values in sorted(from_object(selector) or []):
        if op == 'In' and len(values) == 1:
            out.append('%s=%s' % (key, values[0]))
        elif op in ('In', 'NotIn'):
            out.append('%s %s (%s)' % (key, op.lower(), ','.join(sorted(values))))
        else:
            out.append(('!' if op == 'DoesNotExist' else '') + key)
    return ','.join(out)


def matches(requirements, labels):
    if requirements is None:
        return False
    labels = labels or {}
    for key, op, values in requirements:
        have = labels.get(key)
        if op == 'In':
            ok = have is not None and have in values
        elif op == 'NotIn':
            ok = have is None or have not in values
        elif op == 'Exists':
            ok = have is not None
        elif op == 'DoesNotExist':
            ok = have is None
        elif op in ('Gt', 'Lt'):
            try:
                ok = int(have) > int(values[0]) if op == 'Gt' else int(have) < int(values[0])
            except (TypeError, ValueError, IndexError):
                ok = False
        else:
            ok = False
        if not ok:
            return False
    return True


# fields that a real server lets one select by; the others are a 400
FIELDS = {
    'pods': ('spec.nodeName', 'spec.restartPolicy', 'spec.schedulerName', 'spec.serviceAccountName', 'spec.hostNetwork',
             'status.phase', 'status.podIP', 'status.nominatedNodeName'),
    'nodes': ('spec.unschedulable',),
    'namespaces': ('status.phase',),
    'secrets': ('type',),
    'replicasets.apps': ('status.replicas',),
    'events': ('involvedObject.kind', 'involvedObject.namespace', 'involvedObject.name', 'involvedObject.uid',
               'involvedObject.apiVersion', 'involvedObject.resourceVersion', 'involvedObject.fieldPath', 'reason',
               'reportingComponent', 'source', 'type'),
}


def parse_fields(text, storage):
    """A list of (path, wanted value, equal?)."""
    out = []
    if not text:
        return out
    for part in text.split(','):
        if not part:
            continue
        m = _FIELD.match(part)
        if not m:
            raise bad_request('invalid field selector: %r' % part)
        path, op, value = m.groups()
        path = path.replace('regarding.', 'involvedObject.') if storage == 'events' else path
        if path not in ('metadata.name', 'metadata.namespace') and path not in FIELDS.get(storage, ()):
            raise bad_request('field label not supported: ' + path)
        out.append((path, value, op != '!='))
    return out


def field_of(obj, path):
    for part in path.split('.'):
        obj = obj.get(part) if isinstance(obj, dict) else None
    if isinstance(obj, bool):
        return 'true' if obj else 'false'
    if isinstance(obj, dict):                     # events: "source" means source.component
        obj = obj.get('component')
    return '' if obj is None else str(obj)


def node_term_matches(term, labels, name):
    """One nodeSelectorTerm; an empty term matches nothing."""
    exprs, fields = term.get('matchExpressions') or [], term.get('matchFields') or []
    if not exprs and not fields:
        return False
    want = [(e.get('key'), e.get('operator'), e.get('values') or []) for e in exprs]
    want_fields = [(e.get('key'), e.get('operator'), e.get('values') or []) for e in fields]
    return matches(want, labels) and matches(want_fields, {'metadata.name': name})


def node_affinity_ok(spec, labels, name):
    """nodeSelector and the required node affinity; what kubelet checks of a static pod too."""
    for k, v in (spec.get('nodeSelector') or {}).items():
        if (labels or {}).get(k) != v:
            return False
    required = ((spec.get('affinity') or {}).get('nodeAffinity') or {}).get('requiredDuringSchedulingIgnoredDuringExecution')
    if required is None:
        return True
    return any(node_term_matches(t, labels, name) for t in required.get('nodeSelectorTerms') or [])


def toleration_for(tolerations, taint):
    """The first toleration that tolerates the taint, or None."""
    for t in tolerations or []:
        if t.get('effect') and t['effect'] != taint.get('effect'):
            continue
        if t.get('key') and t['key'] != taint.get('key'):
            continue
        op = t.get('operator') or 'Equal'
        if op == 'Exists' or (op == 'Equal' and t.get('key') and (t.get('value') or '') == (taint.get('value') or '')):
            return t
    return None
