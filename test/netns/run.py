#!/usr/bin/env python3
"""Runs the tests on network namespaces: dropped packets, partitions, nodes that lose power."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'rig'))
import netns  # noqa: E402
from suite import Suite  # noqa: E402

GATE = 'the gate: kubelets hang 30 s in the black hole'
# test: what is missing. The test runs all the same; delete the row when it passes.
PENDING = {
    'test_kubelets_do_not_hang_in_the_black_hole': GATE,
    'test_the_control_planes_own_node_dies': GATE,
    'test_nine_nodes_four_against_five': 'a minority acts while gossip has not yet called the rest failed',
    'test_at_most_once_never_overlaps': 'policy at-most-once',
    'test_cold_boot_offline_each_pod_runs_exactly_once': 'cold boot',
    'test_online_power_loss_is_replaced_within_ten_seconds': 'online node loss',
}

if __name__ == '__main__':
    why = netns.not_permitted()
    Suite(__file__, __doc__, PENDING).run(why and 'network namespaces are not permitted: ' + why)
