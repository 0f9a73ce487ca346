"""What the verbs do to the store: create, update, patch, delete, list, and the subresources binding, eviction and scale."""
import base64
import json
import time

import defaults
import managed
import patch as patches
import selection
import validate
from errors import ApiError, already_exists, bad_request, conflict, expired, not_found, stale
from schema import HAS_GENERATION, NAMESPACES, PDBS, PODS, RESOURCES
from store import Filter, dumps, make_entry, now

STATUS_OK = {'kind': 'Status', 'apiVersion': 'v1', 'metadata': {}, 'status': 'Success'}
SNAPSHOT_SECONDS = 300                             # how long a continue token works, as etcd's compaction


def _event_to_core(obj):
    """An events.k8s.io/v1 Event as the core/v1 Event that is stored."""
    for a, b in (('regarding', 'involvedObject'), ('note', 'message'), ('reportingController', 'reportingComponent'),
                 ('deprecatedSource', 'source'), ('deprecatedFirstTimestamp', 'firstTimestamp'),
                 ('deprecatedLastTimestamp', 'lastTimestamp'), ('deprecatedCount', 'count')):
        if a in obj:
            obj[b] = obj.pop(a)
    return obj


def _event_from_core(obj):
    for a, b in (('involvedObject', 'regarding'), ('message', 'note'), ('reportingComponent', 'reportingController'),
                 ('source', 'deprecatedSource'), ('firstTimestamp', 'deprecatedFirstTimestamp'),
                 ('lastTimestamp', 'deprecatedLastTimestamp'), ('count', 'deprecatedCount')):
        if a in obj:
            obj[b] = obj.pop(a)
    return obj


def item_bytes(entry, res):
    """The object as an item of a list of this resource (no kind, no apiVersion)."""
    if res.group == 'events.k8s.io':
        obj = _event_from_core(entry.copy())
        obj.pop('kind'), obj.pop('apiVersion')
        return dumps(obj).encode()
    return entry.raw


def object_bytes(entry, res):
    raw = item_bytes(entry, res)
    return b'{"kind":"%s","apiVersion":"%s",' % (res.kind.encode(), res.api_version.encode()) + raw[1:]


class Api:
    def __init__(self, store):
        self.store = store
        self.snapshots = {}                        # id → (time, entries): what the pages of one list are cut from
        self.snapshot_serial = 0
        self.on_node_create = None                 # a hook of the node lifecycle controller

    # ---- reading

    def get(self, res, ns, name):
        e = self.store.get(res, ns, name)
        if e is None:
            raise not_found(res, name)
        return e

    def filter(self, res, ns, params):
        return Filter(ns, selection.parse_labels(params.get('labelSelector', '')),
                      selection.parse_fields(params.get('fieldSelector', ''), res.storage))

    def list(self, res, ns, params):
        """(resourceVersion, entries, continue token, remaining or None)."""
        keep = self.filter(res, ns, params)
        limit = int(params.get('limit') or 0)
        asked = params.get('resourceVersion') or '0'
        if not asked.isdigit():
            raise bad_request('resourceVersion: Invalid value: "%s"' % asked)
        if params.get('continue'):
            rv, start, number = self._open_token(params['continue'])
            if number not in self.snapshots:
                raise expired()
            found = self.snapshots[number][1]
        else:
            rv, start, number = self.store.rv, 0, None
            if int(asked) > rv:
                raise ApiError(504, 'Timeout', 'Too large resource version: %s, current: %d' % (asked, rv), {
                    'retryAfterSeconds': 1, 'causes': [{'reason': 'ResourceVersionTooLarge', 'message': 'Too large resource version'}]})
            if params.get('resourceVersionMatch') == 'Exact' and 0 < int(asked) < rv:
                raise expired('The resourceVersion for the provided list is too old.')
            found = [e for e in self.store.sorted(res) if keep(e)] if not keep.everything else self.store.sorted(res)
        if not limit or start + limit >= len(found):
            return rv, found[start:] if start else found, None, None
        if number is None:
            number = self._keep_snapshot(found)
        token = {'v': 'meta.k8s.io/v1', 'rv': rv, 'start': start + limit, 'list': number}
        remaining = len(found) - start - limit if not keep.labels and not keep.fields else None
        return rv, found[start:start + limit], base64.urlsafe_b64encode(dumps(token).encode()).decode(), remaining

    def _keep_snapshot(self, found):
        limit = time.monotonic() - SNAPSHOT_SECONDS
        self.snapshots = {n: s for n, s in self.snapshots.items() if s[0] > limit}
        self.snapshot_serial += 1
        self.snapshots[self.snapshot_serial] = (time.monotonic(), found)
        return self.snapshot_serial

    @staticmethod
    def _open_token(text):
        try:
            t = json.loads(base64.urlsafe_b64decode(text + '=='))
            return t['rv'], t['start'], t['list']
        except (ValueError, KeyError, TypeError):
            raise bad_request('continue key is not valid: %s' % text) from None

    # ---- writing

    def create(self, res, ns, obj, manager='kubesim', dry_run=False):
        if not isinstance(obj, dict):
            raise bad_request('the object provided is not a %s' % res.kind)
        if obj.get('kind') not in (None, res.kind):
            raise bad_request('%s in version "%s" cannot be handled as a %s' % (obj['kind'], obj.get('apiVersion'), res.kind))
        if not isinstance(obj.get('metadata', {}), dict) or not isinstance(obj.get('spec', {}), (dict, type(None))):
            raise bad_request('%s in version "%s" cannot be handled as a %s: json: cannot unmarshal' % (res.kind, res.version, res.kind))
        meta_ns = (obj.get('metadata') or {}).get('namespace')
        if ns and meta_ns and meta_ns != ns:
            raise bad_request('the namespace of the provided object does not match the namespace sent on the request')
        if res.namespaced:
            ns = ns or meta_ns
            if not ns:
                raise ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource')
            if self.store.get(NAMESPACES, None, ns) is None:
                raise not_found(NAMESPACES, ns)
        if res.group == 'events.k8s.io':
            obj = _event_to_core(obj)
        storage = next(r for r in RESOURCES if r.storage == res.storage)
        obj['kind'], obj['apiVersion'] = storage.kind, storage.api_version
        meta = defaults.metadata(res, obj, ns)
        defaults.on_create(res, obj)
        if res.plural in HAS_GENERATION:
            meta['generation'] = 1
        validate.created(res, obj)
        if self.store.get(res, ns, meta['name']) is not None:
            raise already_exists(res, meta['name'])
        if res.storage == 'nodes' and self.on_node_create:
            self.on_node_create(obj)
        managed.record(obj, None, manager)
        return make_entry(storage, obj, 0) if dry_run else self.store.put(storage, obj)

    def update(self, res, ns, name, obj, sub=None, manager='kubesim', dry_run=False):
        e = self.get(res, ns, name)
        return self._replace(res, e, obj, sub, manager, dry_run)

    def _replace(self, res, e, obj, sub, manager, dry_run=False):
        if not isinstance(obj, dict) or not isinstance(obj.get('metadata', {}), dict):
            raise bad_request('the object provided is not a %s' % res.kind)
        if res.group == 'events.k8s.io':
            obj = _event_to_core(obj)
        meta = obj.setdefault('metadata', {})
        if meta.get('name', e.name) != e.name:
            raise bad_request('the name of the object (%s) does not match the name on the URL (%s)' % (meta['name'], e.name))
        if meta.get('resourceVersion') not in (None, '', '0', str(e.rv)):
            raise stale(res, e.name)
        if meta.get('uid') not in (None, '', e.uid):
            raise conflict(res, e.name, 'Precondition failed: UID in precondition: %s, UID in object meta: %s' % (meta['uid'], e.uid))
        old = e.copy()
        if sub == 'status':
            obj = dict(old, status=obj.get('status') or {}, metadata=self._status_metadata(old['metadata'], meta))
        elif 'status' in res.subs:                 # the status has its own door
            obj = {k: v for k, v in obj.items() if k != 'status'}
            if 'status' in old:
                obj['status'] = old['status']
        meta = obj['metadata'] = dict(obj['metadata'])
        for k in ('name', 'namespace', 'uid', 'creationTimestamp', 'generation', 'deletionTimestamp', 'deletionGracePeriodSeconds',
                  'resourceVersion', 'generateName', 'managedFields'):
            if k in old['metadata']:
                meta[k] = old['metadata'][k]
            else:
                meta.pop(k, None)
        for k in ('labels', 'annotations', 'ownerReferences', 'finalizers'):
            if k in meta and not meta[k]:
                del meta[k]
        obj['kind'], obj['apiVersion'] = e.res.kind, e.res.api_version
        if sub != 'status':
            defaults.on_update(res, obj)
            validate.updated(res, obj, old)
            if 'generation' in meta and obj.get('spec') != old.get('spec'):
                meta['generation'] += 1
        if obj == old:
            return e                               # nothing changed: no new version, no event
        managed.record(obj, old, manager, sub)
        if dry_run:
            return make_entry(e.res, obj, e.rv)
        if 'deletionTimestamp' in meta and not meta.get('finalizers') and res.storage != 'pods':
            return self.store.remove(e.res, e, obj)
        if 'deletionTimestamp' in meta and not meta.get('finalizers') and meta.get('deletionGracePeriodSeconds') == 0:
            return self.store.remove(e.res, e, obj)
        return self.store.put(e.res, obj)

    @staticmethod
    def _status_metadata(old, new):
        out = dict(old)
        for k in ('labels', 'annotations'):
            if k in new:
                out[k] = new[k]
        return out

    def patch(self, res, ns, name, content_type, body, sub=None, manager='kubesim', dry_run=False):
        if content_type == 'application/apply-patch+yaml':
            if self.store.get(res, ns, name) is None:
                return self.create(res, ns, body, manager, dry_run)
            body = {k: v for k, v in body.items() if k != 'status' or sub}
            content_type = 'application/strategic-merge-patch+json'
        e = self.get(res, ns, name)
        return self._replace(res, e, patches.apply(content_type, e.copy(), body), sub, manager, dry_run)

    def modify(self, e, change, sub=None, manager='kube-controller-manager'):
        """For controllers: change(copy) edits a copy of the object, which is then stored."""
        obj = e.copy()
        change(obj)
        return self._replace(e.res, e, obj, sub, manager)

    # ---- deleting

    def delete(self, res, ns, name, options=None):
        """(entry, gone?) after a delete with the semantics of DeleteOptions."""
        options, e = options or {}, self.get(res, ns, name)
        pre = options.get('preconditions') or {}
        if pre.get('uid') not in (None, e.uid):
            raise conflict(res, name, 'Precondition failed: UID in precondition: %s, UID in object meta: %s' % (pre['uid'], e.uid))
        if pre.get('resourceVersion') not in (None, str(e.rv)):
            raise conflict(res, name, 'Precondition failed: ResourceVersion in precondition: %s, ResourceVersion in object meta: %d'
                           % (pre['resourceVersion'], e.rv))
        if res.storage == 'namespaces':
            self._empty_namespace(name)
        if options.get('propagationPolicy') == 'Orphan':
            self._orphan(e)
        grace = self._grace(e, options) if res.storage == 'pods' else 0
        meta = e.obj['metadata']
        if grace == 0 and not meta.get('finalizers'):
            if res.storage == 'pods':              # a real server marks a pod even if it removes it at once: MODIFIED, then DELETED
                e = self._mark(e, 0)
            return self.store.remove(e.res, e), True
        if 'deletionTimestamp' in meta and meta.get('deletionGracePeriodSeconds', 0) <= grace:
            return e, False
        return self._mark(e, grace), False

    def _mark(self, e, grace):
        """Sets the deletion timestamp: from now on the object is terminating."""
        obj = e.copy()
        meta = obj['metadata']
        if 'generation' in meta and 'deletionTimestamp' not in meta:
            meta['generation'] += 1
        meta['deletionTimestamp'] = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + grace))
        meta['deletionGracePeriodSeconds'] = grace
        return self.store.put(e.res, obj)

    @staticmethod
    def _grace(e, options):
        """An unbound or finished pod goes at once; a bound one waits for its kubelet."""
        if not e.info.node or e.info.phase in ('Succeeded', 'Failed'):
            return 0
        grace = options.get('gracePeriodSeconds')
        if grace is None:
            grace = (e.obj.get('spec') or {}).get('terminationGracePeriodSeconds')
        return max(0, int(30 if grace is None else grace))

    def _empty_namespace(self, ns):
        for res in RESOURCES:
            for e in [e for e in self.store.all(res) if e.ns == ns] if res.namespaced else []:
                self.delete(res, ns, e.name, {'gracePeriodSeconds': 0})

    def _orphan(self, owner):
        for storage, ns, name in list(self.store.by_owner.get(owner.uid, ())):
            res = next(r for r in RESOURCES if r.storage == storage)
            e = self.store.get(res, ns, name)

            def drop(obj):
                refs = [r for r in obj['metadata']['ownerReferences'] if r.get('uid') != owner.uid]
                obj['metadata']['ownerReferences'] = refs
            self.modify(e, drop)

    # ---- subresources

    def bind(self, ns, name, body, manager='kube-scheduler'):
        e = self.get(PODS, ns, name)
        uid = (body.get('metadata') or {}).get('uid')
        target = body.get('target') or {}
        if not target.get('name') or target.get('kind', 'Node') not in ('Node', ''):
            raise ApiError(422, 'Invalid', 'Binding "%s" is invalid: target.name: Required value' % name, {
                'name': name, 'kind': 'Binding', 'causes': [{'reason': 'FieldValueRequired', 'field': 'target.name', 'message': 'Required value'}]})
        if uid and uid != e.uid:
            raise conflict(PODS, name, 'Precondition failed: UID in precondition: %s, UID in object meta: %s' % (uid, e.uid), 'binding')
        if e.info.terminating:
            raise conflict(PODS, name, 'pod %s is being deleted, cannot be assigned to a host' % name, 'binding')
        if e.info.node:
            raise conflict(PODS, name, 'pod %s is already assigned to node "%s"' % (name, e.info.node), 'binding')
        if e.obj['spec'].get('schedulingGates'):
            raise conflict(PODS, name, 'pod %s has non-empty .spec.schedulingGates' % name, 'binding')
        obj, old = e.copy(), e.obj
        obj['spec']['nodeName'] = target['name']
        set_condition(obj, 'PodScheduled', 'True')
        managed.record(obj, old, manager)
        self.store.put(PODS, obj)
        return dict(STATUS_OK, code=201)

    def evict(self, ns, name, body):
        e = self.get(PODS, ns, name)
        if e.info.phase not in ('Pending', 'Succeeded', 'Failed') and not e.info.terminating:
            for pdb in [p for p in self.store.all(PDBS) if p.ns == ns]:
                if selection.matches(selection.from_object(pdb.obj['spec'].get('selector')), e.labels):
                    self._spend_budget(pdb)
        self.delete(PODS, ns, name, body.get('deleteOptions'))
        return dict(STATUS_OK, code=201)

    def _spend_budget(self, pdb):
        status = pdb.obj.get('status') or {}
        if status.get('disruptionsAllowed', 0) <= 0:
            message = 'The disruption budget %s needs %s healthy pods and has %s currently' % (
                pdb.name, status.get('desiredHealthy', 0), status.get('currentHealthy', 0))
            raise ApiError(429, 'TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
                'causes': [{'reason': 'DisruptionBudget', 'message': message}]})

        def spend(obj):
            obj['status']['disruptionsAllowed'] -= 1
        self.modify(pdb, spend, 'status')

    @staticmethod
    def scale_of(e):
        obj = e.obj
        meta = {k: obj['metadata'][k] for k in ('name', 'namespace', 'uid', 'resourceVersion', 'creationTimestamp')}
        status = {'replicas': (obj.get('status') or {}).get('replicas', 0), 'selector': selection.to_text(obj['spec'].get('selector') or {})}
        return {'kind': 'Scale', 'apiVersion': 'autoscaling/v1', 'metadata': meta, 'spec': {'replicas': obj['spec'].get('replicas', 0)},
                'status': status}

    def set_scale(self, res, ns, name, scale, manager):
        replicas = (scale.get('spec') or {}).get('replicas', 0)
        if not isinstance(replicas, int) or replicas < 0:
            raise ApiError(422, 'Invalid', 'Scale "%s" is invalid: spec.replicas: Invalid value: %r' % (name, replicas))
        e = self.get(res, ns, name)
        if (scale.get('metadata') or {}).get('resourceVersion') not in (None, '', str(e.rv)):
            raise stale(res, name)

        def change(obj):
            obj['spec']['replicas'] = replicas
        return self.scale_of(self.modify(e, change, manager=manager))


def set_condition(obj, kind, status, reason=None, message=None, **more):
    """Sets a condition of obj.status; lastTransitionTime moves only when the status does. True if anything changed."""
    rows = obj.setdefault('status', {}).setdefault('conditions', [])
    row = next((c for c in rows if c.get('type') == kind), None)
    before = dict(row) if row else None
    if row is None:
        row = {'type': kind, 'lastProbeTime': None} if obj.get('kind') == 'Pod' else {'type': kind}
        rows.append(row)
    if row.get('status') != status:
        row['lastTransitionTime'] = now()
    row['status'] = status
    for k, v in (('reason', reason), ('message', message)):
        if v is None:
            row.pop(k, None)
        else:
            row[k] = v
    row.update(more)
    return row != before
