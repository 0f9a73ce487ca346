"""metadata.managedFields, in the shape a real server writes them: big, unordered, and of no use to most clients.

They are here because clients must drop them: on a real server they are a third of a pod's bytes.
"""
import json

from store import now

KEYS = {'containers': 'name', 'initContainers': 'name', 'volumes': 'name', 'env': 'name', 'volumeMounts': 'mountPath',
        'conditions': 'type', 'taints': 'key', 'addresses': 'type', 'ownerReferences': 'uid', 'podIPs': 'ip', 'hostIPs': 'ip'}


def fields(value, name=''):
    """FieldsV1 of a value: maps as f:field, keyed lists as k:{…}, everything else as a leaf."""
    if isinstance(value, dict):
        return {'f:' + k: fields(v, k) for k, v in value.items()}
    key = KEYS.get(name)
    if key and isinstance(value, list) and value and all(isinstance(i, dict) and key in i for i in value):
        out = {}
        for item in value:
            out['k:' + json.dumps({key: item[key]}, separators=(',', ':'))] = dict({'.': {}}, **fields(item))
        return out
    return {}


SKIP = ('managedFields', 'resourceVersion', 'uid', 'creationTimestamp', 'generation', 'name', 'namespace', 'selfLink',
        'deletionTimestamp', 'deletionGracePeriodSeconds')


def _body(obj):
    out = {k: v for k, v in obj.items() if k not in ('kind', 'apiVersion', 'metadata')}
    meta = {k: v for k, v in (obj.get('metadata') or {}).items() if k not in SKIP}
    if meta:
        out['metadata'] = meta
    return out


def _merge(a, b):
    for k, v in b.items():
        if isinstance(v, dict) and isinstance(a.get(k), dict):
            _merge(a[k], v)
        else:
            a[k] = v
    return a


def _diff(old, new):
    """What of new differs from old; removed fields belong to nobody."""
    out = {}
    for k, v in new.items():
        o = old.get(k)
        if o == v:
            continue
        out[k] = _diff(o, v) if isinstance(v, dict) and isinstance(o, dict) else v
    return out


def record(obj, old, manager, subresource=None):
    """Notes in obj that manager wrote what differs from old (None: everything)."""
    meta = obj['metadata']
    entries = [dict(e) for e in ((old or {}).get('metadata') or {}).get('managedFields') or []]
    written = fields(_body(obj)) if old is None else fields(_diff(_body(old), _body(obj)))
    if written:
        mine = next((e for e in entries if e.get('manager') == manager and e.get('subresource') == subresource), None)
        if mine is None:
            mine = {'manager': manager, 'operation': 'Update', 'apiVersion': obj.get('apiVersion', 'v1'), 'time': now(),
                    'fieldsType': 'FieldsV1', 'fieldsV1': {}}
            if subresource:
                mine['subresource'] = subresource
            entries.append(mine)
        mine['time'] = now()
        mine['fieldsV1'] = _merge(json.loads(json.dumps(mine['fieldsV1'])), written)
    meta['managedFields'] = entries
