"""What these tests stand on: the end-to-end tests' stage on a site of network namespaces, and the questions about what ran."""
import functools
import os
import sys
import time

TEST = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TEST, 'rig'), os.path.join(TEST, 'e2e')]
from netns import NetCluster  # noqa: E402
from runs import most  # noqa: E402
from stage import Stage, check_healthy, wait_for  # noqa: E402,F401
from suite import Skip  # noqa: E402

SHORT_HANG = ('--hang-seconds', '0.5')       # for tests of other things: no 30 s in the black hole before a static pod starts


def stage(**options):
    options.setdefault('kubelet_args', SHORT_HANG)
    options.setdefault('profile', 'lan')     # as sites run: `local` sends each message so rarely that a partition swallows many

    def mark(fn):
        @functools.wraps(fn)
        def run(binary, kubeconfig):
            if kubeconfig:
                raise Skip('the API server must be in a namespace of the test')
            with NetStage(binary, None, **options) as c:
                c.start()
                fn(c)
        run.is_test, run.nodes = True, options.get('nodes', 3)
        return run
    return mark


class NetStage(Stage, NetCluster):
    """Faults of NetCluster, questions of Stage."""

    def offline(self, mode='blackhole'):
        super().offline(mode)

    def all_pods(self, name='web'):
        return {p['metadata']['uid'] for p in self.own_pods(name)}

    def running(self):
        return [r for r in self.runs() if not r['end']]

    def originals_and_copies(self, uid):
        """How many of a pod ran at once at worst: itself and its copies, the frozen ones not counted."""
        return most(self.runs(), lambda r: uid in (r['uid'], r['orig']))

    def assert_crowd(self, uids, at_most):
        worst = {uid: self.originals_and_copies(uid) for uid in uids}
        assert max(worst.values()) <= at_most, 'ran at once at worst: %s' % worst

    def assert_untouched(self, uids):
        """Each of these pods has run all the time, once, and nobody made a copy of it."""
        for uid in uids:
            rows = [r for r in self.runs() if uid in (r['uid'], r['orig'])]
            assert len(rows) == 1 and not rows[0]['end'] and not rows[0]['orig'], 'pod %s was touched: %s' % (uid, rows)

    def assert_passive(self, nodes):
        """These nodes did nothing about any pod."""
        rows = self.rows('won bid', 'manifest written', 'restored', 'lost pod deleted', nodes=nodes)
        assert not rows and not any(n.manifests() for n in nodes), 'a minority acted: %s' % rows

    def wait_failed(self, by, gone, seconds=40):
        """Gossip tells these nodes that those are gone."""
        names = {n.name for n in gone}

        def seen(n):
            return names <= {m['node'] for m in n.http('/v1/members') or [] if m['status'] == 'failed'}
        wait_for(lambda: all(seen(n) for n in by), seconds, 'gossip says that %s failed' % sorted(names))

    def wait_together(self, seconds=60):
        """All living nodes see each other alive. serf tries failed peers every 30 s: who waits long is told to try now."""
        alive, hurry = self.living(), time.monotonic() + 5

        def missing(n):
            seen = {m['node'] for m in n.http('/v1/members') or [] if m['status'] == 'alive'}
            return [x for x in alive if x.name not in seen]

        def together():
            absent = {n: missing(n) for n in alive}
            if time.monotonic() > hurry:
                for n in alive:
                    for peer in absent[n][:1]:
                        n.sync_with(peer)
            return not any(absent.values())
        wait_for(together, seconds, 'all see each other alive')

    def settle(self, replicas, name='web'):
        """Everything is healed: exactly so many run, all of them the cluster's own, and no copy is left anywhere."""
        self.wait_handover(name, replicas)

        def exact():
            now = self.running()
            return len(now) == replicas and {r['uid'] for r in now} == self.all_pods(name)
        wait_for(exact, 15, 'exactly %d run, all of them own pods' % replicas)
        check_healthy(self)
