"""The control plane of the tests, under /kubesim/ on the API server's own port. See README.md."""
import persist
from errors import ApiError, bad_request


class Control:
    def __init__(self, scheduler=None):
        self.scheduler, self.saved = scheduler, None

    async def __call__(self, http, conn, req):
        parts = req.path.strip('/').split('/')[1:]
        handler = getattr(self, '_%s_%s' % (req.method.lower(), parts[0] if parts else ''), None)
        if handler is None:
            raise ApiError(404, 'NotFound', 'no such control: %s %s' % (req.method, req.path))
        await http.reply(conn, 200, handler(http, req, parts[1:]))

    @staticmethod
    def _get_faults(http, req, rest):
        return {'rules': [r.show() for r in http.faults.rules]}

    @staticmethod
    def _post_faults(http, req, rest):
        doc = req.json()
        added = [http.faults.add(d) for d in (doc if isinstance(doc, list) else [doc])]
        http.faults_changed()
        return {'rules': [r.show() for r in added]}

    @staticmethod
    def _delete_faults(http, req, rest):
        if rest and not rest[0].isdigit():
            raise bad_request('a rule has a number')
        http.faults.remove(int(rest[0]) if rest else None)
        http.faults_changed()
        return {'rules': [r.show() for r in http.faults.rules]}

    def _get_scheduler(self, http, req, rest):
        return {'enabled': bool(self.scheduler and self.scheduler.enabled)}

    def _post_scheduler(self, http, req, rest):
        if self.scheduler is None:
            raise bad_request('this server runs --bare: it has no scheduler')
        self.scheduler.set_enabled(bool(req.json().get('enabled', True)))
        return {'enabled': self.scheduler.enabled}

    @staticmethod
    def _post_expire(http, req, rest):
        http.store.expire()
        http.api.snapshots.clear()
        return {'resourceVersion': str(http.store.rv)}

    def _post_backup(self, http, req, rest):
        self.saved = persist.backup(http.store)
        return {'resourceVersion': str(http.store.rv)}

    def _post_restore(self, http, req, rest):
        if self.saved is None:
            raise bad_request('there is no backup: POST /kubesim/backup makes one')
        persist.restore(http.store, self.saved)
        http.api.snapshots.clear()
        return {'resourceVersion': str(http.store.rv)}

    @staticmethod
    def _get_stats(http, req, rest):
        watchers = {storage: len(s.watchers) for storage, s in http.store.shelves.items() if s.watchers}
        objects = {storage: len(s.entries) for storage, s in http.store.shelves.items() if s.entries}
        return {'requests': http.stats, 'watchers': watchers, 'objects': objects, 'connections': len(http.connections),
                'resourceVersion': str(http.store.rv)}

    @staticmethod
    def _delete_stats(http, req, rest):
        http.stats.clear()
        return {}
