"""One watch request: initial events, the stream, bookmarks, and its end."""
import asyncio

import table
from errors import ApiError, bad_request, invalid
from rest import object_bytes
from store import Watcher, dumps
from waiting import within

PIECE = 1 << 18
FORBIDDEN_WATCHLIST = 'Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled'


class _ListOptions:
    """Names the kind in the error that list options get."""
    kind, group, plural, qualified = 'ListOptions', 'meta.k8s.io', 'listoptions', 'listoptions.meta.k8s.io'


def _check(http, params):
    """(resource version or None, send initial events?, bookmarks?)."""
    bookmarks = params.get('allowWatchBookmarks') in ('true', '1')
    text = params.get('resourceVersion', '')
    if text and not text.isdigit():
        raise bad_request('resourceVersion: Invalid value: "%s": strconv.ParseUint: invalid syntax' % text)
    if 'sendInitialEvents' in params:
        if not http.watchlist:
            raise invalid(_ListOptions, '', [('sendInitialEvents', 'FieldValueForbidden', FORBIDDEN_WATCHLIST)])
        if params.get('resourceVersionMatch') != 'NotOlderThan':
            raise invalid(_ListOptions, '', [('resourceVersionMatch', 'FieldValueForbidden',
                                              'Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan')])
        if params['sendInitialEvents'] == 'true':
            return 0, True, bookmarks
    elif params.get('resourceVersionMatch'):
        raise invalid(_ListOptions, '', [('resourceVersionMatch', 'FieldValueForbidden',
                                          'Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided')])
    return int(text or 0), False, bookmarks


def _bookmark(res, rv, initial_end=False):
    meta = {'resourceVersion': str(rv), 'creationTimestamp': None}
    if initial_end:
        meta['annotations'] = {'k8s.io/initial-events-end': 'true'}
    doc = {'type': 'BOOKMARK', 'object': {'kind': res.kind, 'apiVersion': res.api_version, 'metadata': meta}}
    return dumps(doc).encode() + b'\n'


def _renderer(res, req):
    if table.wanted(req.headers.get('accept', '')):
        return lambda kind, e: dumps({'type': kind, 'object': table.of_list(res, [e], str(e.rv), req.params.get('includeObject'))}).encode() + b'\n'
    return _PLAIN.setdefault(res.qualified, lambda kind, e: b'{"type":"%s","object":%b}\n' % (kind.encode(), object_bytes(e, res)))


_PLAIN = {}                                        # one renderer for each resource, so that watchers share rendered lines


async def serve(http, conn, req, res, ns, name, rule):
    params = dict(req.params)
    if name is not None:
        extra = 'metadata.name=' + name
        params['fieldSelector'] = params['fieldSelector'] + ',' + extra if params.get('fieldSelector') else extra
    rv, initial_events, bookmarks = _check(http, params)
    keep, render = http.api.filter(res, ns, params), _renderer(res, req)
    store = http.store
    w = Watcher(keep, render)
    # From here to the registration nothing else runs, so no event is lost or sent twice.
    initial = []
    if rv == 0:
        initial, w.rv = [e for e in store.sorted(res) if keep(e)], store.rv
    else:
        w.rv = rv
        try:
            for ev in store.since(res, rv):
                w.offer(ev, {})                    # a cache is of one event: its lines are shared between watchers, not events
        except ApiError as e:                      # a watch that is too old is answered 200 and one ERROR event
            body = await http.chunked(conn)
            await body.write(dumps({'type': 'ERROR', 'object': e.status()}).encode() + b'\n')
            return await body.end()
    store.shelf(res).watchers.add(w)
    conn_gone = asyncio.ensure_future(conn.reader.read(1))
    conn_gone.add_done_callback(lambda _: w.wake.set())
    try:
        body = await http.chunked(conn)
        await _send(conn, body, [render('ADDED', e) for e in initial] if len(initial) < 1000 else
                    (render('ADDED', e) for e in initial), rule)
        if initial_events and bookmarks:
            await body.write(_bookmark(res, w.rv, True))
        del initial
        await _stream(http, conn, body, w, res, bookmarks, conn_gone, float(params.get('timeoutSeconds') or 2400), rv, rule)
        await body.end()
    finally:
        store.shelf(res).watchers.discard(w)
        conn_gone.cancel()
    if conn_gone.done() and not conn_gone.cancelled():
        raise ConnectionResetError                 # it hung up (or sent bytes where none belong)
    try:
        await conn_gone
    except asyncio.CancelledError:
        pass


async def _send(conn, body, lines, rule):
    """Sends lines in large pieces; cuts the first one in half if a fault asks for it."""
    pending, size = [], 0
    for line in lines:
        if rule is not None and rule.action == 'half-watch-line':
            await body.write(line[:len(line) // 2])
            conn.writer.close()
            raise ConnectionResetError
        pending.append(line)
        size += len(line)
        if size > PIECE:
            await body.write(b''.join(pending))
            pending, size = [], 0
    await body.write(b''.join(pending))


async def _stream(http, conn, body, w, res, bookmarks, conn_gone, timeout, from_rv, rule):
    loop = asyncio.get_running_loop()
    end, mark = loop.time() + timeout, loop.time() + http.bookmark_seconds
    while not conn_gone.done():
        left = min(end, mark if bookmarks else end) - loop.time()
        if left > 0 and not w.lines:
            w.wake.clear()
            try:
                await within(w.wake.wait(), left)
            except (TimeoutError, asyncio.TimeoutError):
                pass
        if w.overflow:
            raise ConnectionResetError
        lines = []
        while w.lines:
            rv, line = w.lines.popleft()
            if rv > from_rv:                       # a watch from the future waits until the versions reach it
                lines.append(line)
                w.rv = rv
        if lines:
            await _send(conn, body, lines, rule)
        if loop.time() >= end:
            return
        if loop.time() >= mark:
            mark = loop.time() + http.bookmark_seconds
            if bookmarks and http.store.rv >= from_rv:   # to a watch from the future a real server sends no bookmark either
                if not w.lines:
                    w.rv = max(w.rv, http.store.rv)
                await body.write(_bookmark(res, w.rv))
