"""How fast this machine is, and what follows: how patient tests are, and how many sites of nodes it bears at once.

Measured once: who measures first leaves the answer in the environment for all that it starts, C programs too
(test/patience.h).
"""
import hashlib
import json
import os
import statistics
import time

FACTOR_ENV = 'TEST_DEADLINE_FACTOR'      # not EDGE_HEALER_...: the daemon would take it for a key of its configuration
REFERENCE_S = 0.045                      # of work(); where the tests' deadlines were chosen it takes 0.03 to 0.04 s
FACTOR_MAX = 20.0
SITES_PER_CORE = 4                       # a site under ASan keeps 0.17 of a core busy, one of nine nodes 0.35


def work():
    """What a short fixed computation takes, in seconds."""
    began, table = time.perf_counter(), {}
    for i in range(30000):
        table['pod-%d' % i] = i * i % 97
    hashlib.sha256(json.dumps(table).encode()).digest()
    return time.perf_counter() - began


def factor():
    """What every deadline is multiplied by, at least 1."""
    if FACTOR_ENV not in os.environ:
        measured = statistics.median(work() for _ in range(5)) / REFERENCE_S
        os.environ[FACTOR_ENV] = '%.2f' % min(max(1.0, measured), FACTOR_MAX)
    return max(1.0, float(os.environ[FACTOR_ENV]))


def patient(seconds):
    """A deadline on this machine."""
    return seconds * factor()


def sites():
    """How many tests with a site of their own run at the same time."""
    return max(1, round((os.cpu_count() or 1) * SITES_PER_CORE / factor()))
