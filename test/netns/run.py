#!/usr/bin/env python3
"""Runs the tests on network namespaces: dropped packets, partitions, nodes that lose power."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'rig'))
import netns  # noqa: E402
from suite import Suite  # noqa: E402

# test: what is missing. The test runs all the same; delete the row when it passes.
PENDING = {}

if __name__ == '__main__':
    why = netns.not_permitted()
    Suite(__file__, __doc__, PENDING, why and 'network namespaces are not permitted: ' + why).run()
