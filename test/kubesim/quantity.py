"""Kubernetes quantities ("100m", "8Gi") as integers, and a pod's requests from them."""
import functools
from decimal import Decimal, InvalidOperation, ROUND_CEILING

_SUFFIX = {'': 1, 'n': Decimal('1e-9'), 'u': Decimal('1e-6'), 'm': Decimal('0.001'), 'k': 10**3, 'M': 10**6, 'G': 10**9, 'T': 10**12,
           'P': 10**15, 'E': 10**18, 'Ki': 2**10, 'Mi': 2**20, 'Gi': 2**30, 'Ti': 2**40, 'Pi': 2**50, 'Ei': 2**60}


def parse(text):
    """The exact value as a Decimal; ValueError when it is no quantity."""
    s = str(text).strip()
    cut = len(s)
    while cut and not (s[cut - 1].isdigit() or s[cut - 1] == '.'):
        cut -= 1
    try:
        return Decimal(s[:cut]) * _SUFFIX[s[cut:]]
    except (InvalidOperation, KeyError):
        raise ValueError('not a quantity: %r' % text) from None


@functools.lru_cache(4096)                         # a cluster has few different quantities and asks for them often
def milli(text):
    return int((parse(text) * 1000).to_integral_value(ROUND_CEILING))


@functools.lru_cache(4096)
def units(text):
    return int(parse(text).to_integral_value(ROUND_CEILING))


def _of(container):
    r = container.get('resources') or {}
    limits, requests = r.get('limits') or {}, r.get('requests') or {}
    cpu, mem = requests.get('cpu', limits.get('cpu', 0)), requests.get('memory', limits.get('memory', 0))
    return milli(cpu), units(mem)


def pod_requests(spec):
    """(milli-CPU, bytes): the larger of what runs together and any one init container; sidecars count as running."""
    cpu = mem = 0
    for c in spec.get('containers') or []:
        c_cpu, c_mem = _of(c)
        cpu, mem = cpu + c_cpu, mem + c_mem
    side_cpu = side_mem = init_cpu = init_mem = 0
    for c in spec.get('initContainers') or []:
        c_cpu, c_mem = _of(c)
        if c.get('restartPolicy') == 'Always':
            side_cpu, side_mem = side_cpu + c_cpu, side_mem + c_mem
            init_cpu, init_mem = max(init_cpu, side_cpu), max(init_mem, side_mem)
        else:
            init_cpu, init_mem = max(init_cpu, side_cpu + c_cpu), max(init_mem, side_mem + c_mem)
    overhead = spec.get('overhead') or {}
    return (max(cpu + side_cpu, init_cpu) + milli(overhead.get('cpu', 0)),
            max(mem + side_mem, init_mem) + units(overhead.get('memory', 0)))


def qos_class(spec):
    containers = (spec.get('containers') or []) + (spec.get('initContainers') or [])
    any_set, guaranteed = False, True
    for c in containers:
        r = c.get('resources') or {}
        limits, requests = r.get('limits') or {}, r.get('requests') or {}
        for name in ('cpu', 'memory'):
            if name in limits or name in requests:
                any_set = True
            if name not in limits or parse(requests.get(name, limits[name])) != parse(limits[name]):
                guaranteed = False
    if not any_set:
        return 'BestEffort'
    return 'Guaranteed' if guaranteed else 'Burstable'
