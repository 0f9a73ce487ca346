"""The Deployment controller: one ReplicaSet for each template, and a rolling update between them."""
import hashlib

from controllers_util import owned, owner_ref, percent
from defaults import ALPHABET
from errors import ApiError
from rest import set_condition
from schema import DEPLOYMENTS, PODS, REPLICASETS
from store import dumps, now

HASH, REVISION = 'pod-template-hash', 'deployment.kubernetes.io/revision'


def template_hash(template):
    """A short name for a template, the same each time (a real server hashes differently; only equality matters)."""
    digest = hashlib.sha256(dumps(template).encode()).digest()
    return ''.join(ALPHABET[b % len(ALPHABET)] for b in digest[:10])


def _without_hash(template):
    meta = dict(template.get('metadata') or {})
    meta['labels'] = {k: v for k, v in (meta.get('labels') or {}).items() if k != HASH}
    return dict(template, metadata=meta)


def _revision(rs):
    return int((rs.obj['metadata'].get('annotations') or {}).get(REVISION, 0))


def sync(api, ns, name):
    d = api.store.get(DEPLOYMENTS, ns, name)
    if d is None or 'deletionTimestamp' in d.obj['metadata']:
        return
    sets = owned(api.store, d.uid, REPLICASETS)
    template = _without_hash(d.obj['spec']['template'])
    new = next((rs for rs in sets if _without_hash(rs.obj['spec']['template']) == template), None)
    old = [rs for rs in sets if rs is not new]
    new = _ensure_new(api, d, new, old)
    if not d.obj['spec'].get('paused'):
        if d.obj['spec']['strategy'].get('type') == 'Recreate':
            _recreate(api, d, new, old)
        else:
            _roll(api, d, new, old)
    _forget_old(api, d, old)
    _status(api, d, new)


def _ensure_new(api, d, new, old):
    spec = d.obj['spec']
    revision = str(max([_revision(rs) for rs in old], default=0) + 1)
    if new is None:
        hashed = template_hash(spec['template'])
        template = d.copy()['spec']['template']
        template.setdefault('metadata', {}).setdefault('labels', {})[HASH] = hashed
        selector = d.copy()['spec']['selector']
        selector.setdefault('matchLabels', {})[HASH] = hashed
        size = 0 if old else spec['replicas']
        new = api.create(REPLICASETS, d.ns, {
            'metadata': {'name': '%s-%s' % (d.name, hashed), 'labels': dict(template['metadata']['labels']), 'ownerReferences': [owner_ref(d)],
                         'annotations': dict(_sizes(spec), **{REVISION: revision})},
            'spec': {'replicas': size, 'selector': selector, 'template': template}}, 'kube-controller-manager')
    elif old and _revision(new) < int(revision):
        new = api.modify(new, lambda o: o['metadata'].setdefault('annotations', {}).update({REVISION: revision}))
    if (d.obj['metadata'].get('annotations') or {}).get(REVISION) != str(_revision(new)):
        api.modify(d, lambda o: o['metadata'].setdefault('annotations', {}).update({REVISION: str(_revision(new))}))
    return new


def _sizes(spec):
    return {'deployment.kubernetes.io/desired-replicas': str(spec['replicas']),
            'deployment.kubernetes.io/max-replicas': str(spec['replicas'] + _surge(spec)[0])}


def _surge(spec):
    """(maxSurge, maxUnavailable) in pods."""
    if spec['strategy'].get('type') == 'Recreate':
        return 0, spec['replicas']
    ru = spec['strategy'].get('rollingUpdate') or {}
    surge, down = percent(ru.get('maxSurge', '25%'), spec['replicas'], True), percent(ru.get('maxUnavailable', '25%'), spec['replicas'], False)
    return (surge, down) if surge or down else (0, 1)


def _scale(api, d, rs, size):
    size, notes = max(0, size), _sizes(d.obj['spec'])

    def change(o):
        o['spec']['replicas'] = size
        o['metadata'].setdefault('annotations', {}).update(notes)
    return api.modify(rs, change)


def _size(rs):
    return rs.obj['spec'].get('replicas', 0)


def _available(rs):
    return (rs.obj.get('status') or {}).get('availableReplicas', 0)


def _roll(api, d, new, old):
    want = d.obj['spec']['replicas']
    surge, down = _surge(d.obj['spec'])
    total = _size(new) + sum(map(_size, old))
    if not any(_size(rs) for rs in old) or _size(new) > want:
        new = _scale(api, d, new, want)
    elif _size(new) < want and total < want + surge:
        new = _scale(api, d, new, min(want, _size(new) + want + surge - total))
    total = _size(new) + sum(map(_size, old))
    spare = total - (want - down) - max(0, _size(new) - _available(new))
    for rs in sorted(old, key=_revision):          # first those that are not available: they help nobody
        cut = min(max(0, spare), _size(rs) - _available(rs))
        if cut > 0:
            api_rs = _scale(api, d, rs, _size(rs) - cut)
            old[old.index(rs)], spare = api_rs, spare - cut
    spare = sum(map(_available, old)) + _available(new) - (want - down)
    for rs in sorted(old, key=_revision):
        cut = min(max(0, spare), _size(rs))
        if cut > 0:
            _scale(api, d, rs, _size(rs) - cut)
            spare -= cut


def _recreate(api, d, new, old):
    busy = False
    for rs in old:
        if _size(rs):
            _scale(api, d, rs, 0)
        busy = busy or any(e.info.phase not in ('Succeeded', 'Failed') for e in owned(api.store, rs.uid, PODS))
    if not busy and _size(new) != d.obj['spec']['replicas']:
        _scale(api, d, new, d.obj['spec']['replicas'])


def _forget_old(api, d, old):
    idle = sorted((rs for rs in old if not _size(rs) and not (rs.obj.get('status') or {}).get('replicas')), key=_revision)
    for rs in idle[:max(0, len(idle) - d.obj['spec'].get('revisionHistoryLimit', 10))]:
        try:
            api.delete(REPLICASETS, rs.ns, rs.name)
        except ApiError:
            pass


def _status(api, d, new):
    d, new = api.store.get(DEPLOYMENTS, d.ns, d.name), api.store.get(REPLICASETS, new.ns, new.name)
    if d is None or new is None:
        return
    want, sets = d.obj['spec']['replicas'], owned(api.store, d.uid, REPLICASETS)

    def total(field):
        return sum((rs.obj.get('status') or {}).get(field, 0) for rs in sets)
    available = total('availableReplicas')
    status = {'replicas': total('replicas'), 'updatedReplicas': (new.obj.get('status') or {}).get('replicas', 0), 'readyReplicas': total('readyReplicas'),
              'availableReplicas': available, 'unavailableReplicas': max(0, want - available), 'terminatingReplicas': total('terminatingReplicas')}
    status = {k: v for k, v in status.items() if v}
    status['observedGeneration'] = d.obj['metadata'].get('generation', 1)

    def change(o):
        before = o.get('status') or {}
        o['status'] = dict(status, conditions=before.get('conditions') or [])
        enough = available >= want - _surge(o['spec'])[1]
        done = available == want == status.get('updatedReplicas', 0) == status.get('replicas', 0)
        rows = [('Available', enough, 'MinimumReplicasAvailable' if enough else 'MinimumReplicasUnavailable',
                 'Deployment has minimum availability.' if enough else 'Deployment does not have minimum availability.'),
                ('Progressing', True, 'NewReplicaSetAvailable' if done else 'ReplicaSetUpdated',
                 'ReplicaSet "%s" %s' % (new.name, 'has successfully progressed.' if done else 'is progressing.'))]
        for kind, ok, reason, message in rows:
            stamp = next((c.get('lastUpdateTime') for c in o['status']['conditions'] if c.get('type') == kind), None)
            if set_condition(o, kind, 'True' if ok else 'False', reason, message) or stamp is None:
                stamp = now()
            set_condition(o, kind, 'True' if ok else 'False', reason, message, lastUpdateTime=stamp)
    api.modify(d, change, 'status')
