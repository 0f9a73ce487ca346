"""Small things that several controllers share."""
import math

from quantity import units
from schema import LEASES
from store import now_micro


def owner_ref(e):
    return {'apiVersion': e.res.api_version, 'kind': e.res.kind, 'name': e.name, 'uid': e.uid, 'controller': True, 'blockOwnerDeletion': True}


def owned(store, uid, res):
    """Entries of this resource that have the owner (as controller or not)."""
    out = []
    for storage, ns, name in store.by_owner.get(uid, ()):
        if storage == res.storage:
            e = store.get(res, ns, name)
            if e is not None:
                out.append(e)
    return out


def keep_lease(api, name, identity):
    """Creates or renews a leader lease in kube-system."""
    e = api.store.get(LEASES, 'kube-system', name)
    if e is None:
        api.create(LEASES, 'kube-system', {'metadata': {'name': name}, 'spec': {
            'holderIdentity': identity, 'leaseDurationSeconds': 15, 'acquireTime': now_micro(), 'renewTime': now_micro(), 'leaseTransitions': 0}}, name)
    else:
        api.modify(e, lambda o: o['spec'].update(renewTime=now_micro(), holderIdentity=identity), manager=name)


def percent(value, total, up):
    """An IntOrString as a number of pods."""
    if isinstance(value, str) and value.endswith('%'):
        part = int(value[:-1]) * total / 100
        return math.ceil(part) if up else math.floor(part)
    return units(value)
