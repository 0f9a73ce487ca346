"""A changed configuration is taken, a bad one is not."""
import json
import os
import signal

from stage import stage, wait_for


@stage(nodes=2)
def test_reload_takes_a_good_config_and_keeps_the_old_over_a_bad_one(c):
    n = c.nodes[0]
    healer = n.parts['healer']
    with open(n.path('edge-healer.yaml')) as f:
        config = json.load(f)

    def write(**more):
        with open(n.path('new.yaml'), 'w') as f:
            json.dump(dict(config, **more), f)
        os.rename(n.path('new.yaml'), n.path('edge-healer.yaml'))
        healer.p.send_signal(signal.SIGHUP)
    write(mode='observe')
    wait_for(lambda: n.http('/v1/status')['mode'] == 'observe', 10, 'mode observe is taken')
    write(mode='hael')
    wait_for(lambda: 'reload refused' in healer.text(), 10, 'the bad one is refused')
    said = [line for line in healer.text().splitlines() if 'hael' in line]
    assert said and 'edge-healer.yaml:' in said[0], 'with file and line: %s' % said
    assert n.http('/v1/status')['mode'] == 'observe' and healer.alive()
    write(mode='heal')
    wait_for(lambda: n.http('/v1/status')['mode'] == 'heal', 10, 'and a good one again')


@stage(nodes=2)
def test_where_no_pod_cgroups_are_nothing_is_ready(c):
    """A copy could not be proven to run there, and a pod not be stopped."""
    c.run_web(replicas=1)
    n = c.nodes[0]
    with open(n.path('edge-healer.yaml')) as f:
        config = json.load(f)

    def cgroup_root(path):
        with open(n.path('new.yaml'), 'w') as f:
            json.dump(dict(config, kubelet=dict(config['kubelet'], cgroup_root=path)), f)
        os.rename(n.path('new.yaml'), n.path('edge-healer.yaml'))

    def check():
        return next(x for x in n.http('/v1/status')['checks'] if x['name'] == 'cgroups')

    def reason():
        return next((w.get('reason') or '' for w in n.http('/v1/readiness') if w['namespace'] == c.ns), '')
    assert check()['ok'] and 'no pod cgroups' not in reason()
    cgroup_root(n.path('logs'))
    wait_for(lambda: not check()['ok'] and 'no pod cgroups below kubelet.cgroup_root ' + n.path('logs') in reason(), 15, 'it is told')
    assert n.http('/readyz') is None, 'a healer that could not heal is not ready'
    os.makedirs(n.path('logs', 'kubepods'))
    wait_for(lambda: check()['ok'] and 'no pod cgroups' not in reason(), 15, 'kubelet has made them')
    assert n.http('/readyz')
