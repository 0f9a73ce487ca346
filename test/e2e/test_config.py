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
