"""The uplink swallows packets, and nodes or parts of them die meanwhile."""
import time

from net_stage import stage, wait_for


@stage(nodes=5)
def test_api_black_holed_then_serf_and_healer_killed_nothing_is_done(c):
    c.run_web(replicas=10)
    before, pods = c.done(), c.all_pods()
    c.offline()
    c.nothing_happens(4, before)
    deaf, silent = c.nodes[3], c.nodes[4]
    deaf.parts['serf'].kill()
    silent.parts['healer'].kill()
    for n in c.nodes[:3]:
        wait_for(lambda n=n: (c.suspect(n, deaf) or {}).get('state') == 'refuted', 40, '%s refutes the suspicion' % n.name)
    c.nothing_happens(4, before)
    silent.start_healer()
    deaf.start_serf(c.nodes[0].host + ':7946')
    c.mend()
    c.settle(10)
    c.assert_untouched(pods)


@stage(nodes=5)
def test_black_holed_and_a_node_killed_its_pods_run_elsewhere_once(c):
    c.run_web(replicas=10)
    c.offline()
    victim = c.busiest()
    others = c.all_pods() - set(c.pods_on(victim))
    lost = c.lose(victim)
    where = c.wait_copies(lost)
    assert victim.name not in where.values(), where
    assert len(c.files()) == len(lost), c.files()
    c.assert_untouched(others)
    c.assert_crowd(lost, at_most=1)
    victim.power_on()                        # back before the uplink: static pods only, its own are claimed elsewhere
    c.wait_together()
    c.assert_crowd(lost, at_most=1)
    c.mend()
    c.settle(10)
    c.assert_crowd(lost, at_most=2)          # make before break
    c.assert_untouched(others)


@stage(nodes=9)
def test_nine_nodes_and_two_of_them_die_at_once(c):
    c.run_web(replicas=18)
    c.offline()
    others = c.all_pods() - {uid for n in c.nodes[:2] for uid in c.pods_on(n)}
    lost = c.lose(c.nodes[0]) + c.lose(c.nodes[1])
    c.wait_copies(lost)
    c.assert_untouched(others)
    c.assert_crowd(lost, at_most=1)
    c.mend()
    c.settle(18)
    c.assert_crowd(lost, at_most=2)
    c.assert_untouched(others)


@stage(kubelet_args=())
def test_kubelets_do_not_hang_in_the_black_hole(c):
    c.run_web(replicas=6)
    c.offline()
    lost = c.lose(c.busiest())
    died = time.time()
    c.wait_copies(lost, 15)
    started = max(r['start'] for r in c.runs() if r['orig'])
    assert started - died < 12, 'running after %.1f s' % (started - died)
    c.mend()
    c.settle(6)


@stage(kubelet_args=(), api_on=1)
def test_the_control_planes_own_node_dies(c):
    """Three nodes as a small k3s site has them: the server runs pods too."""
    c.run_web(replicas=6)
    pods = c.all_pods()
    server = c.nodes[0]
    c.wait_mirrored(pods)
    others = pods - set(c.pods_on(server))
    lost = c.lose(server)
    c.wait_copies(lost, 25)
    c.assert_untouched(others)
    server.power_on()
    c.wait_link('online', 30)
    c.settle(6)
    c.assert_crowd(lost, at_most=2)
    c.assert_untouched(others)


@stage(nodes=5)
def test_cold_boot_offline_each_pod_runs_exactly_once(c):
    c.run_web(replicas=10)
    c.offline()
    victim = c.busiest()
    others = c.all_pods() - set(c.pods_on(victim))
    lost = c.lose(victim)
    victim.power_on()                        # a short power cut: gossip may not even notice
    c.wait_copies(lost, 25)
    c.assert_crowd(lost, at_most=1)
    c.assert_untouched(others)
    c.mend()
    c.settle(10)
    c.assert_crowd(lost, at_most=2)


@stage()
def test_a_pod_that_vanishes_offline_runs_again_once(c):
    c.run_web(replicas=6)
    c.offline()
    node, pods = c.nodes[0], c.own_pods('web')
    pod = next(p for p in pods if p['spec']['nodeName'] == node.name)
    lost = pod['metadata']['uid']
    others = c.all_pods() - {lost}
    node.vanish(pod)
    c.wait_copies([lost], 25)
    c.assert_crowd([lost], at_most=1)
    c.assert_untouched(others)
    c.mend()
    c.patience = 120                         # its kubelet has a minute and a half to start the original again
    c.settle(6)
    c.assert_untouched(others)


@stage(nodes=5, speed=1)
def test_online_power_loss_is_replaced_within_ten_seconds(c):
    c.run_web(replicas=10)
    pods = c.all_pods()
    c.wait_mirrored(pods)
    victim = c.busiest()
    others = pods - set(c.pods_on(victim))
    lost = c.lose(victim)
    died = victim.deaths[-1]

    def replaced():
        now = [r for r in c.running() if r['uid'] not in others]
        return now if len(now) == len(lost) else None
    fresh = wait_for(replaced, 15, '%d replacements run' % len(lost))
    assert max(r['start'] for r in fresh) - died <= 10, fresh
    c.assert_untouched(others)
    victim.power_on()
    c.settle(10)
