#!/usr/bin/env python3
"""Runs the tests on network namespaces: dropped packets, partitions, nodes that lose power."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'rig'))
import netns  # noqa: E402
from suite import Suite  # noqa: E402

GATE = 'the gate: kubelets hang 30 s in the black hole'
LOST_CLAIM = 'now and then a claim is lost in gossip while peers are cut off, and a second copy runs until serf\'s next full sync'
# test: what is missing. The test runs all the same; delete the row when it passes.
PENDING = {
    'test_kubelets_do_not_hang_in_the_black_hole': GATE,
    'test_the_control_planes_own_node_dies': GATE,
    'test_two_against_three_the_minority_does_nothing': LOST_CLAIM,
    'test_one_node_cut_off_the_partition_heals_first': LOST_CLAIM,
    'test_one_node_cut_off_the_link_heals_first_ipv6': LOST_CLAIM,
    'test_nine_nodes_four_against_five': 'a minority acts while gossip has not yet called the rest failed',
    'test_at_most_once_never_overlaps': 'policy at-most-once',
    'test_cold_boot_offline_each_pod_runs_exactly_once': 'cold boot',
    'test_a_pod_that_vanishes_offline_runs_again_once': 'local loss',
    'test_online_power_loss_is_replaced_within_ten_seconds': 'online node loss',
}

if __name__ == '__main__':
    why = netns.not_permitted()
    # most of their time is waiting for gossip: three at once keep two cores a third busy
    Suite(__file__, __doc__, PENDING, jobs=3).run(why and 'network namespaces are not permitted: ' + why)
