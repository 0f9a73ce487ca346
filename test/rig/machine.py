"""How fast this machine is, and what follows: how patient tests are, and how many simulated nodes it bears at once.

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
NODES_PER_CORE = 10                      # under ASan a site of 3 nodes keeps 0.16 of a core busy, one of 9 nodes 0.32
SITE_NODES = 3                           # a smaller site costs no less: its API server and its start are the same


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


def nodes():
    """How many nodes, of all tests that have a site, run at the same time."""
    return max(SITE_NODES, round((os.cpu_count() or 1) * NODES_PER_CORE / factor()))


def sites():
    """How many tests with a site of the usual size run at the same time."""
    return nodes() // SITE_NODES
