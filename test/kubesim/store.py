"""Objects, resource versions and the watch history.

Every object is kept as the bytes a client receives; a list or an initial watch joins those bytes and serialises nothing.
An Entry is never changed, an update makes a new one, so a snapshot of a list is a list of references.
"""
import asyncio
import collections
import json
import time
import uuid

import quantity
import selection
from errors import too_old

dumps = json.JSONEncoder(separators=(',', ':'), ensure_ascii=False).encode


def now():
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())


def now_micro():
    t = time.time()
    return time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(t)) + '.%06dZ' % (t % 1 * 1e6)


def new_uid():
    return str(uuid.uuid4())


class PodInfo:
    """What controllers and selectors ask of a pod again and again, so that they need not parse it."""
    __slots__ = ('node', 'phase', 'ready', 'terminating', 'owner', 'cpu', 'memory')

    def __init__(self, node, phase, ready, terminating, owner, cpu, memory):
        self.node, self.phase, self.ready, self.terminating = node, phase, ready, terminating
        self.owner, self.cpu, self.memory = owner, cpu, memory

    @property
    def active(self):
        return self.phase not in ('Succeeded', 'Failed') and not self.terminating


def controller_uid(meta):
    for ref in meta.get('ownerReferences') or []:
        if ref.get('controller'):
            return ref.get('uid')
    return None


def pod_info(obj):
    meta, spec, status = obj['metadata'], obj.get('spec') or {}, obj.get('status') or {}
    ready = any(c.get('type') == 'Ready' and c.get('status') == 'True' for c in status.get('conditions') or [])
    cpu, memory = quantity.pod_requests(spec)
    return PodInfo(spec.get('nodeName') or '', status.get('phase') or 'Pending', ready, 'deletionTimestamp' in meta,
                   controller_uid(meta), cpu, memory)


class Entry:
    """One version of one object. raw lacks kind and apiVersion, as items of a list do."""
    __slots__ = ('res', 'ns', 'name', 'uid', 'rv', 'raw', 'labels', 'info', '_obj')

    def __init__(self, res, ns, name, uid, rv, raw, labels, info, obj=None):
        self.res, self.ns, self.name, self.uid, self.rv = res, ns, name, uid, rv
        self.raw, self.labels, self.info, self._obj = raw, labels, info, obj

    @property
    def obj(self):
        """The parsed object, shared: read only. Seeded entries are parsed on each call, to keep 100,000 of them small."""
        return self._obj if self._obj is not None else self.copy()

    def copy(self):
        return json.loads(self.full())

    def full(self, res=None):
        r = res or self.res
        return b'{"kind":"%s","apiVersion":"%s",' % (r.kind.encode(), r.api_version.encode()) + self.raw[1:]

    def field(self, path):
        if path == 'metadata.name':
            return self.name
        if path == 'metadata.namespace':
            return self.ns or ''
        if self.info is not None:
            if path == 'spec.nodeName':
                return self.info.node
            if path == 'status.phase':
                return self.info.phase
        return selection.field_of(self.obj, path)


class Filter:
    """Namespace, name, label and field selector of one list or watch."""

    def __init__(self, ns=None, labels=(), fields=()):
        self.ns, self.labels, self.fields = ns, labels, fields
        self.everything = ns is None and not labels and not fields

    def __call__(self, e):
        if self.everything:
            return True
        if self.ns is not None and e.ns != self.ns:
            return False
        if self.labels and not selection.matches(self.labels, e.labels):
            return False
        return all((e.field(p) == v) == equal for p, v, equal in self.fields)


MAX_LINES = 100000                                # events that may wait for one slow watch
Event = collections.namedtuple('Event', 'rv type entry old')


class Watcher:
    """The queue of one watch. The HTTP side takes lines from it; `wake` is set when there are some."""

    def __init__(self, keep, render):
        self.keep, self.render = keep, render
        self.lines, self.wake, self.overflow = collections.deque(), asyncio.Event(), False
        self.rv = 0

    def offer(self, ev, cache):
        """ADDED, MODIFIED or DELETED as this watch's selector sees it: leaving the selector is DELETED."""
        if len(self.lines) >= MAX_LINES:
            self.overflow = True                   # it does not read: its watch ends, as a real server ends it
            return
        is_in = ev.type != 'DELETED' and self.keep(ev.entry)
        was_in = ev.old is not None and self.keep(ev.old)
        if not is_in and not was_in:
            self.rv = ev.rv
            return
        if is_in:
            kind, entry = ('MODIFIED' if was_in else 'ADDED'), ev.entry
        elif ev.type == 'DELETED':
            kind, entry = 'DELETED', ev.entry
        else:                                       # the last state it matched, at the new resource version
            kind, entry = 'DELETED', at_version(ev.old, ev.rv)
        key = (kind, entry is ev.entry, self.render)
        if key not in cache:
            cache[key] = self.render(kind, entry)
        self.lines.append((ev.rv, cache[key]))
        self.wake.set()


def at_version(entry, rv):
    obj = entry.copy()
    obj['metadata']['resourceVersion'] = str(rv)
    return make_entry(entry.res, obj, rv)


def make_entry(res, obj, rv):
    meta = obj['metadata']
    obj.pop('kind', None)
    obj.pop('apiVersion', None)
    raw = dumps(obj).encode('utf-8', 'surrogatepass')
    obj['kind'], obj['apiVersion'] = res.kind, res.api_version
    info = pod_info(obj) if res.storage == 'pods' else None
    return Entry(res, meta.get('namespace'), meta['name'], meta.get('uid'), rv, raw, meta.get('labels'), info, obj)


class Shelf:
    """All objects of one resource, with their recent events and the watchers of it."""

    def __init__(self, history):
        self.entries = {}
        self.events = collections.deque(maxlen=history)
        self.dropped_rv = 0                        # events up to this version are no longer known
        self.watchers = set()
        self.order = None                          # sorted keys, None when stale


class Store:
    def __init__(self, history=10000):
        self.rv, self.history = 1, history
        self.shelves = {}
        self.by_uid = {}                           # uid → entry, for owner references
        self.by_owner = collections.defaultdict(set)   # owner uid → {(storage, ns, name)}
        self.listeners = []                        # called with (resource, Event) after each change

    def shelf(self, res):
        s = self.shelves.get(res.storage)
        if s is None:
            s = self.shelves[res.storage] = Shelf(self.history)
        return s

    def get(self, res, ns, name):
        return self.shelf(res).entries.get((ns or '', name))

    def all(self, res):
        return self.shelf(res).entries.values()

    def sorted(self, res):
        s = self.shelf(res)
        if s.order is None:
            s.order = sorted(s.entries)
        entries = s.entries
        return [entries[k] for k in s.order]

    def next_rv(self):
        self.rv += 1
        return self.rv

    def _index(self, e, owners, add):
        where = (e.res.storage, e.ns or '', e.name)
        for uid in owners:
            if add:
                self.by_owner[uid].add(where)
            elif uid in self.by_owner:
                self.by_owner[uid].discard(where)
                if not self.by_owner[uid]:
                    del self.by_owner[uid]

    def _publish(self, shelf, ev, res):
        if len(shelf.events) == shelf.events.maxlen:
            shelf.dropped_rv = shelf.events[0].rv if shelf.events.maxlen else ev.rv
        shelf.events.append(ev)
        cache = {}
        for w in shelf.watchers:
            w.offer(ev, cache)
        for fn in self.listeners:
            fn(res, ev)

    def put(self, res, obj):
        """Stores an object (which the store owns from now on) under a new resource version; returns its Entry."""
        meta, shelf = obj['metadata'], self.shelf(res)
        key = (meta.get('namespace') or '', meta['name'])
        old = shelf.entries.get(key)
        rv = self.next_rv()
        meta['resourceVersion'] = str(rv)
        e = make_entry(res, obj, rv)
        shelf.entries[key] = e
        if old is None:
            shelf.order = None
        else:
            self._index(old, owner_uids(old.obj), False)
        self._index(e, owner_uids(obj), True)
        self.by_uid[e.uid] = e
        self._publish(shelf, Event(rv, 'MODIFIED' if old else 'ADDED', e, old), res)
        return e

    def seed(self, res, e, owners):
        """An object that was there before the server started: no event, no history."""
        shelf = self.shelf(res)
        shelf.entries[(e.ns or '', e.name)] = e
        shelf.order, shelf.dropped_rv = None, self.rv
        self.by_uid[e.uid] = e
        self._index(e, owners, True)

    def remove(self, res, entry, obj=None):
        """Removes it; the DELETED event carries obj (or the last state) at the new resource version."""
        shelf, rv = self.shelf(res), self.next_rv()
        obj = obj if obj is not None else entry.copy()
        obj['metadata']['resourceVersion'] = str(rv)
        last = make_entry(res, obj, rv)
        del shelf.entries[(entry.ns or '', entry.name)]
        shelf.order = None
        self.by_uid.pop(entry.uid, None)
        self._index(entry, owner_uids(entry.obj), False)
        self._publish(shelf, Event(rv, 'DELETED', last, entry), res)
        return last

    def expire(self):
        """Forgets the watch history, as a compaction does: older versions are 410 from now on."""
        self.rv += 1                               # so that even a client that is up to date is now too old
        for s in self.shelves.values():
            s.events.clear()
            s.dropped_rv = self.rv

    def since(self, res, rv):
        """The events after rv, or 410 if the history does not reach back so far."""
        s = self.shelf(res)
        if rv < s.dropped_rv:
            raise too_old(rv, s.dropped_rv)
        return [ev for ev in s.events if ev.rv > rv]


def owner_uids(obj):
    return [r.get('uid') for r in obj['metadata'].get('ownerReferences') or []]
