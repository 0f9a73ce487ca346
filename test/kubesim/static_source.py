"""The static-pod folder: inotify, a rescan every 20 s, and the map from files to pods with all its habits.

The store is keyed by namespace and name, as in kubelet: of two files with one key the later wins, and when either goes the pod goes (until the
next rescan finds the other file again). A file that cannot be taken leaves the pod it held before until the next rescan.
"""
import asyncio
import ctypes
import os
import struct

import static_rules
import yaml_lite

RESCAN_SECONDS = 20.0
IN_MODIFY, IN_ATTRIB, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200
IN_NONBLOCK = 0x800
_HEAD = struct.Struct('iIII')


class StaticSource:
    def __init__(self, folder, node, on_change, on_refused):
        self.folder, self.node, self.on_change, self.on_refused = folder, node, on_change, on_refused
        self.pods, self.keys = {}, {}              # (namespace, name) → pod, path → (namespace, name)
        self.refused = {}                          # path → (modification time, message): said once for each version
        os.makedirs(folder, exist_ok=True)
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(IN_NONBLOCK)
        mask = IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE
        if self.fd < 0 or libc.inotify_add_watch(self.fd, folder.encode(), mask) < 0:
            raise OSError(ctypes.get_errno(), 'inotify: %s' % folder)

    async def run(self):
        asyncio.get_running_loop().add_reader(self.fd, self._readable)
        while True:
            self.rescan()
            await asyncio.sleep(RESCAN_SECONDS)

    def _readable(self):
        try:
            data = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return
        at, changed, gone = 0, {}, []
        while at < len(data):
            _, mask, _, size = _HEAD.unpack_from(data, at)
            name = data[at + _HEAD.size:at + _HEAD.size + size].rstrip(b'\0').decode('utf-8', 'surrogateescape')
            at += _HEAD.size + size
            if not name or name.startswith('.'):
                continue
            if mask & (IN_DELETE | IN_MOVED_FROM):
                changed.pop(name, None)
                self._forget(os.path.join(self.folder, name))
            else:
                changed[name] = True
        for name in changed:
            self._take(os.path.join(self.folder, name))
        self.on_change()

    def _load(self, path):
        """The pod of a file, or None if it is refused."""
        try:
            stamp = os.stat(path).st_mtime_ns
            if not os.path.isfile(path):
                return None
            with open(path, 'rb') as f:
                data = f.read(static_rules.MAX_BYTES + 1)
        except OSError:
            return None
        try:
            if len(data) > static_rules.MAX_BYTES:
                raise static_rules.Refused('file is larger than %d bytes' % static_rules.MAX_BYTES)
            try:
                doc = yaml_lite.load(data.decode('utf-8'))
            except ValueError as e:
                raise static_rules.Refused('couldn\'t parse as pod: %s' % e) from None
            pod = static_rules.apply_defaults(doc, path, self.node)
            static_rules.check_file(pod)
            self.refused.pop(path, None)
            return pod
        except (static_rules.Refused, AttributeError, TypeError) as e:
            if self.refused.get(path) != (stamp, str(e)):
                self.refused[path] = (stamp, str(e))
                self.on_refused(path, str(e))
            return None

    def _take(self, path):
        pod = self._load(path)
        if pod is not None:
            key = (pod['metadata']['namespace'], pod['metadata']['name'])
            self.pods[key] = pod
            self.keys[path] = key

    def _forget(self, path):
        self.refused.pop(path, None)
        key = self.keys.pop(path, None)
        if key is not None:
            self.pods.pop(key, None)

    def rescan(self):
        """Reads the whole folder anew: what is not in it any more is gone, however the events went."""
        self.pods, self.keys = {}, {}
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            names = []
        for name in names:
            if not name.startswith('.'):
                self._take(os.path.join(self.folder, name))
        self.on_change()
