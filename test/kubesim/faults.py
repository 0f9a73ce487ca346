"""Faults on request: which client's requests are refused, black-holed, delayed, answered with an error or cut short.

A rule: {"match": {"client", "method", "path"}, "action", "status", "retryAfter", "delayMs", "bytes", "times"}. `client` is a part of
the User-Agent or the whole source address, `path` a regular expression searched in path?query. Everything is optional but action.
"""
import re

from errors import ApiError, bad_request

ACTIONS = ('refuse', 'blackhole', 'delay', 'status', 'half-watch-line', 'slow-body')
REASON = {400: 'BadRequest', 401: 'Unauthorized', 403: 'Forbidden', 404: 'NotFound', 409: 'Conflict', 410: 'Expired', 429: 'TooManyRequests',
          500: 'InternalError', 503: 'ServiceUnavailable', 504: 'Timeout'}


class Rule:
    def __init__(self, number, doc):
        if not isinstance(doc, dict) or doc.get('action') not in ACTIONS:
            raise bad_request('action must be one of ' + ', '.join(ACTIONS))
        match = doc.get('match') or {}
        self.id, self.doc = number, doc
        self.action = doc['action']
        self.client, self.method = match.get('client'), match.get('method')
        try:
            self.path = re.compile(match['path']) if match.get('path') else None
        except re.error as e:
            raise bad_request('match.path: %s' % e) from None
        self.left = doc.get('times')

    def matches_client(self, conn):
        return not self.client or self.client == conn.peer or self.client in conn.agent

    @property
    def whole_connection(self):
        """True if the rule can be decided from the client alone, before any request."""
        return not self.method and not self.path

    def matches(self, conn, method, target):
        if not self.matches_client(conn):
            return False
        if self.method and self.method.upper() != method:
            return False
        return not self.path or bool(self.path.search(target))

    def spend(self):
        """One use of the rule; False when it is used up."""
        if self.left is None:
            return True
        if self.left <= 0:
            return False
        self.left -= 1
        return True

    def show(self):
        return dict(self.doc, id=self.id, left=self.left)

    def error(self):
        code = int(self.doc.get('status', 500))
        message = {429: 'too many requests, please try again later', 410: 'too old resource version'}.get(code, 'a fault on request')
        after = self.doc.get('retryAfter')
        details = {'retryAfterSeconds': int(after)} if after is not None else None
        return ApiError(code, REASON.get(code, 'InternalError'), message, details, retry_after=after)


class Faults:
    def __init__(self):
        self.rules, self.serial = [], 0

    def add(self, doc):
        self.serial += 1
        rule = Rule(self.serial, doc)
        self.rules.append(rule)
        return rule

    def remove(self, number=None):
        self.rules = [r for r in self.rules if number is not None and r.id != number]

    def find(self, conn, method, target):
        """The first rule for this request that still has uses left."""
        for r in self.rules:
            if r.matches(conn, method, target) and r.spend():
                return r
        return None

    def cuts(self, conn):
        """The refuse or blackhole rule that holds for the whole connection, if any (counted uses are for requests)."""
        for r in self.rules:
            if r.left is not None or r.action not in ('refuse', 'blackhole') or not r.matches_client(conn):
                continue
            if r.whole_connection or (conn.request and r.matches(conn, *conn.request)):
                return r
        return None
