"""The three patch formats: JSON merge patch (RFC 7386), JSON patch (RFC 6902) and the strategic merge patch of Kubernetes."""
import copy

from errors import ApiError, bad_request

# The merge key of each list that strategic merge treats as a map; a list that is not here is replaced as a whole.
MERGE_KEYS = {
    'containers': 'name', 'initContainers': 'name', 'ephemeralContainers': 'name', 'volumes': 'name', 'env': 'name',
    'volumeMounts': 'mountPath', 'volumeDevices': 'devicePath', 'conditions': 'type', 'taints': 'key', 'addresses': 'type',
    'imagePullSecrets': 'name', 'secrets': 'name', 'ownerReferences': 'uid', 'hostAliases': 'ip', 'podIPs': 'ip', 'hostIPs': 'ip',
    'topologySpreadConstraints': 'topologyKey', 'resourceClaims': 'name', 'schedulingGates': 'name',
}
MERGE_SETS = {'finalizers'}                        # lists of scalars that are merged as sets


def merge_key(field, items):
    if field == 'ports':                           # containers merge by containerPort, services by port
        return 'containerPort' if any('containerPort' in i for i in items if isinstance(i, dict)) else 'port'
    return MERGE_KEYS.get(field)


def merge_patch(target, patch):
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    out = dict(target) if isinstance(target, dict) else {}
    for k, v in patch.items():
        if v is None:
            out.pop(k, None)
        else:
            out[k] = merge_patch(out.get(k), v)
    return out


def strategic(target, patch):
    """Strategic merge of two maps, with $patch, $deleteFromPrimitiveList, $setElementOrder and $retainKeys."""
    directive = patch.get('$patch')
    if directive == 'delete':
        return {}
    if directive == 'replace':
        return {k: copy.deepcopy(v) for k, v in patch.items() if k != '$patch'}
    if directive not in (None, 'merge'):
        raise bad_request('unknown patch directive %r' % directive)
    out = dict(target) if isinstance(target, dict) else {}
    if '$retainKeys' in patch:
        out = {k: v for k, v in out.items() if k in patch['$retainKeys']}
    for k, v in patch.items():
        if k in ('$patch', '$retainKeys') or k.startswith('$setElementOrder/'):
            continue
        if k.startswith('$deleteFromPrimitiveList/'):
            field = k.split('/', 1)[1]
            if field in out:
                out[field] = [x for x in out[field] if x not in v]
        elif v is None:
            out.pop(k, None)
        elif isinstance(v, dict):
            out[k] = strategic(out.get(k), v)
        elif isinstance(v, list):
            out[k] = _strategic_list(k, out.get(k), v)
        else:
            out[k] = v
    for k, order in patch.items():
        field = k.split('/', 1)[1] if k.startswith('$setElementOrder/') else None
        if field and isinstance(out.get(field), list):
            out[field] = _reorder(field, out[field], order)
    return out


def _strategic_list(field, target, patch):
    target = target if isinstance(target, list) else []
    if field in MERGE_SETS:
        return target + [x for x in patch if x not in target]
    if any(isinstance(i, dict) and i.get('$patch') == 'replace' for i in patch):
        return [copy.deepcopy(i) for i in patch if not (isinstance(i, dict) and i.get('$patch') == 'replace')]
    key = merge_key(field, patch + target)
    if key is None or not all(isinstance(i, dict) for i in patch):
        return copy.deepcopy(patch)
    out = list(target)
    for item in patch:
        if key not in item:
            raise bad_request('map: %s does not contain declared merge key: %s' % (item, key))
        at = next((i for i, t in enumerate(out) if t.get(key) == item[key]), None)
        if item.get('$patch') == 'delete':
            if at is not None:
                del out[at]
        elif at is None:
            out.append(strategic({}, item))
        else:
            out[at] = strategic(out[at], item)
    return out


def _reorder(field, items, order):
    key = merge_key(field, items)
    ident = (lambda x: x.get(key)) if key and items and isinstance(items[0], dict) else (lambda x: x)
    wanted = [o.get(key) if isinstance(o, dict) else o for o in order]
    listed = sorted((i for i in items if ident(i) in wanted), key=lambda i: wanted.index(ident(i)))
    out, rest = [], iter(listed)
    for i in items:                                # items that the patch does not name keep their places
        out.append(next(rest) if ident(i) in wanted else i)
    return out


def _walk(doc, parts):
    for p in parts:
        if isinstance(doc, list):
            doc = doc[int(p)]
        else:
            doc = doc[p]
    return doc


def json_patch(doc, ops):
    if not isinstance(ops, list):
        raise bad_request('error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch')
    doc = copy.deepcopy(doc)
    for op in ops:
        try:
            doc = _apply(doc, op)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as e:
            raise ApiError(422, 'Invalid', 'the server rejected our request due to an error in our request: %r' % e, {}) from None
    return doc


def _parts(pointer):
    if pointer == '':
        return []
    if not pointer.startswith('/'):
        raise ValueError('bad pointer %r' % pointer)
    return [p.replace('~1', '/').replace('~0', '~') for p in pointer[1:].split('/')]


def _add(doc, parts, value):
    if not parts:
        return value
    parent, last = _walk(doc, parts[:-1]), parts[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == '-' else _index(parent, last), value)
    else:
        parent[last] = value
    return doc


def _index(items, text):
    i = int(text)
    if not 0 <= i <= len(items):
        raise IndexError(text)
    return i


def _remove(doc, parts):
    parent, last = _walk(doc, parts[:-1]), parts[-1]
    return parent.pop(int(last)) if isinstance(parent, list) else parent.pop(last)


def _apply(doc, op):
    kind, parts = op['op'], _parts(op['path'])
    if kind == 'test':
        if _walk(doc, parts) != op['value']:
            raise ValueError('testing value %s failed' % op['path'])
        return doc
    if kind == 'remove':
        _remove(doc, parts)
        return doc
    if kind == 'replace':
        if parts:
            _walk(doc, parts)
            parent, last = _walk(doc, parts[:-1]), parts[-1]
            parent[int(last) if isinstance(parent, list) else last] = op['value']
            return doc
        return op['value']
    if kind == 'add':
        return _add(doc, parts, copy.deepcopy(op['value']))
    if kind == 'copy':
        return _add(doc, parts, copy.deepcopy(_walk(doc, _parts(op['from']))))
    if kind == 'move':
        return _add(doc, parts, _remove(doc, _parts(op['from'])))
    raise ValueError('unexpected kind: %s' % kind)


def apply(content_type, current, patch):
    """The patched object; current is not changed."""
    if content_type == 'application/json-patch+json':
        return json_patch(current, patch)
    if not isinstance(patch, dict):
        raise bad_request('error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}')
    if content_type == 'application/merge-patch+json':
        return merge_patch(current, patch)
    return strategic(copy.deepcopy(current), patch)


TYPES = ('application/json-patch+json', 'application/merge-patch+json', 'application/strategic-merge-patch+json')
