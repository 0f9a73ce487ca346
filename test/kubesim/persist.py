"""The store on disk, as etcd keeps it for a real server: written when the server ends, read when the next one starts.

A server that comes back has the same objects under new resource versions and no watch history: older watches are 410.
"""
import json
import os

import schema
from store import dumps


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
