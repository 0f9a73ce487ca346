"""The store on disk, as etcd keeps it for a real server: written when the server ends, read when the next one starts.

A server that comes back has the same objects under new resource versions and no watch history: older watches are 410.
"""
import json
import os

import schema
from store import Event, dumps, make_entry, owner_uids


def save(store, path):
    rows = [[e.res.qualified, e.copy()] for shelf in store.shelves.values() for e in shelf.entries.values()]
    with open(path + '.new', 'w') as f:
        f.write(dumps({'rv': store.rv, 'objects': rows}))
    os.rename(path + '.new', path)


def load(store, path):
    """After the controllers listen: to them the objects are new."""
    with open(path) as f:
        doc = json.load(f)
    store.rv = doc['rv']
    for name, obj in doc['objects']:
        store.put(schema.BY_NAME[name], obj)
    store.expire()


def backup(store):
    """The objects as they are now, with their versions: what a snapshot of etcd holds."""
    return {'rv': store.rv, 'objects': [(e.res, e.copy()) for shelf in store.shelves.values() for e in shelf.entries.values()]}


def restore(store, saved):
    """History goes back: objects and versions are those of the backup, open watches break off, older ones are 410, and a watch from
    a version that is not reached yet waits in silence. The controllers see what is different as changes."""
    store.rv = saved['rv']
    wanted = {}
    for res, obj in saved['objects']:
        e = make_entry(res, json.loads(dumps(obj)), int(obj['metadata']['resourceVersion']))
        wanted.setdefault(res.storage, {})[(e.ns or '', e.name)] = e
    store.by_uid.clear()
    store.by_owner.clear()
    before = {storage: s.entries for storage, s in store.shelves.items()}
    for storage, s in store.shelves.items():
        s.entries, s.order, s.dropped_rv = wanted.get(storage, {}), None, store.rv
        s.events.clear()
        for w in list(s.watchers):
            w.overflow = True
            w.wake.set()
        s.watchers.clear()
        for e in s.entries.values():
            store.by_uid[e.uid] = e
            store._index(e, owner_uids(e.obj), True)
    for storage, old in before.items():
        _tell(store, old, store.shelves[storage].entries)


def _tell(store, old, new):
    events = [Event(store.rv, 'DELETED', e, e) for k, e in old.items() if k not in new]
    events += [Event(store.rv, 'MODIFIED' if k in old else 'ADDED', e, old.get(k)) for k, e in new.items()
               if k not in old or old[k].rv != e.rv or old[k].uid != e.uid]
    for ev in events:
        for fn in store.listeners:
            fn(ev.entry.res, ev)
