"""The folders by which a pod can be seen on the node: its cgroups and its logs. No process is behind them, only the files.

As on a real node the sandbox (pause container) has a cgroup of its own beside those of the containers, so a pod whose image is missing has
a populated pod cgroup too; its container folders, there and under the pod's logs, are missing. A pod that is admitted has a cgroup before
anything of it runs, and kubelet's own three folders are there before any pod.
"""
import hashlib
import os
import re
import shutil

STYLES = ('v2-cgroupfs', 'v2-systemd', 'v1')


def container_id(uid, name, attempt=0):
    """The same for one start of one container, so that a restarted kubelet finds it again."""
    return hashlib.sha256(('%s/%s/%d' % (uid, name, attempt)).encode()).hexdigest()


def _write(path, text):
    with open(path, 'w') as f:
        f.write(text)


class PodFolders:
    def __init__(self, root, logs, style):
        self.root, self.logs, self.style = root, logs, style
        self.stiff = set()                         # uids of pods that the freezer does not get to stand still
        os.makedirs(logs, exist_ok=True)
        self._make_classes()

    def _make_classes(self):
        for qos in ('Guaranteed', 'Burstable', 'BestEffort'):
            os.makedirs(os.path.dirname(self.pod('', qos)), exist_ok=True)

    def pod(self, uid, qos):
        """The pod's cgroup folder."""
        middle = '' if qos == 'Guaranteed' else qos.lower()
        if self.style == 'v2-systemd':
            name = 'kubepods-%s-pod%s.slice' % (middle, uid.replace('-', '_')) if middle else 'kubepods-pod%s.slice' % uid.replace('-', '_')
            parts = ['kubepods.slice'] + (['kubepods-%s.slice' % middle] if middle else []) + [name]
        else:
            parts = ['kubepods'] + ([middle] if middle else []) + ['pod' + uid]
        return os.path.join(self.root, *parts)

    def _leaf(self, pod, cid):
        return os.path.join(pod, 'cri-containerd-%s.scope' % cid if self.style == 'v2-systemd' else cid)

    def _fill(self, folder, populated, inside):
        os.makedirs(folder, exist_ok=True)
        if self.style == 'v1':
            if not os.path.exists(os.path.join(folder, 'freezer.state')):
                _write(os.path.join(folder, 'freezer.state'), 'THAWED\n')
            _write(os.path.join(folder, 'pids.current'), '%d\n' % populated)
        else:
            _write(os.path.join(folder, 'cgroup.events'), 'populated %d\nfrozen 0\n' % populated)
            if not os.path.exists(os.path.join(folder, 'cgroup.freeze')):
                _write(os.path.join(folder, 'cgroup.freeze'), '0\n')
        _write(os.path.join(folder, 'cgroup.procs'), '%d\n' % os.getpid() if inside else '')

    def admit(self, uid, qos):
        """The pod's cgroup, with nothing in it yet."""
        self._fill(self.pod(uid, qos), False, False)

    def start(self, pod, qos, containers, attempt=0):
        """Makes the folders of the sandbox and of these containers."""
        meta = pod['metadata']
        top = self.pod(meta['uid'], qos)
        for name in ['POD'] + containers:          # the leaves first: who sees the pod populated finds a process in it
            self._fill(self._leaf(top, container_id(meta['uid'], name, 0 if name == 'POD' else attempt)), True, True)
        self._fill(top, True, False)
        logs = self.log_folder(pod)
        os.makedirs(logs, exist_ok=True)
        for name in containers:
            os.makedirs(os.path.join(logs, name), exist_ok=True)
            with open(os.path.join(logs, name, '%d.log' % attempt), 'a'):
                pass

    def log_folder(self, pod):
        meta = pod['metadata']
        return os.path.join(self.logs, '%s_%s_%s' % (meta['namespace'], meta['name'], meta['uid']))

    def running(self, uid, qos, containers):
        top = self.pod(uid, qos)
        return all(os.path.isdir(self._leaf(top, container_id(uid, name))) for name in containers)

    def stop(self, pod, qos):
        shutil.rmtree(self.pod(pod['metadata']['uid'], qos), ignore_errors=True)
        shutil.rmtree(self.log_folder(pod), ignore_errors=True)

    def stop_container(self, uid, qos, name, attempt):
        shutil.rmtree(self._leaf(self.pod(uid, qos), container_id(uid, name, attempt)), ignore_errors=True)

    def frozen(self, folder):
        """(has somebody frozen this pod, since when); None while that is being written or the pod is gone.

        Plays the kernel's part of saying so in cgroup.events.
        """
        try:
            with open(os.path.join(folder, 'freezer.state' if self.style == 'v1' else 'cgroup.freeze')) as f:
                state, since = f.read().strip(), os.fstat(f.fileno()).st_mtime
        except OSError:
            return None
        if not state:
            return None
        if any(uid.replace('-', '_') in folder.replace('-', '_') for uid in self.stiff):
            return None
        frozen = state in ('FROZEN', '1')
        if self.style != 'v1':
            path = os.path.join(folder, 'cgroup.events')
            try:
                with open(path) as f:
                    text = f.read()
                right = re.sub('frozen [01]', 'frozen %d' % frozen, text)
                if text != right:
                    _write(path, right)
            except OSError:
                pass
        return frozen, since

    def outlives_kill(self, folder):
        """Version 1: SIGKILL waits until the pod is thawed."""
        state = self.frozen(folder) if self.style == 'v1' else None
        return state is not None and state[0]

    def leftovers(self):
        """{uid: folder} of all pods that have a cgroup."""
        out = {}
        for folder, names, _ in os.walk(self.root):
            for n in list(names):
                if self.style == 'v2-systemd' and n.endswith('.slice') and '-pod' in n:
                    out[n[:-len('.slice')].rsplit('-pod', 1)[1].replace('_', '-')] = os.path.join(folder, n)
                    names.remove(n)
                elif self.style != 'v2-systemd' and n.startswith('pod'):
                    out[n[3:]] = os.path.join(folder, n)
                    names.remove(n)
        return out

    def clear(self):
        """Power loss: no process survives it."""
        shutil.rmtree(self.root, ignore_errors=True)
        self._make_classes()
