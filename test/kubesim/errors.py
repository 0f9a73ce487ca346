"""API failures as exceptions: each becomes one Status object with the code, reason and details a real server sends."""


class ApiError(Exception):
    def __init__(self, code, reason, message, details=None, retry_after=None):
        super().__init__(message)
        self.code, self.reason, self.message, self.details, self.retry_after = code, reason, message, details, retry_after

    def status(self):
        out = {'kind': 'Status', 'apiVersion': 'v1', 'metadata': {}, 'status': 'Failure', 'message': self.message,
               'reason': self.reason, 'code': self.code}
        if self.details:
            out['details'] = self.details
        return out


def _details(res, name, **more):
    out = {'name': name, 'kind': res.plural}
    if res.group:
        out['group'] = res.group
    out.update(more)
    return out


def not_found(res, name):
    return ApiError(404, 'NotFound', '%s "%s" not found' % (res.qualified, name), _details(res, name))


def already_exists(res, name):
    return ApiError(409, 'AlreadyExists', '%s "%s" already exists' % (res.qualified, name), _details(res, name))


def conflict(res, name, why, sub=None):
    what = res.qualified + ('/' + sub if sub else '')
    return ApiError(409, 'Conflict', 'Operation cannot be fulfilled on %s "%s": %s' % (what, name, why),
                    _details(res, name))


def stale(res, name):
    return conflict(res, name, 'the object has been modified; please apply your changes to the latest version and try again')


def bad_request(message):
    return ApiError(400, 'BadRequest', message)


def invalid(res, name, causes):
    """causes: [(field, reason, message)]; the reasons are FieldValueRequired, FieldValueInvalid, FieldValueForbidden …"""
    rows = [{'reason': r, 'message': m, 'field': f} for f, r, m in causes]
    text = ', '.join('%s: %s' % (f, m) for f, _, m in causes)
    if len(causes) > 1:
        text = '[%s]' % text
    details = {'name': name, 'kind': res.kind, 'causes': rows}
    if res.group:
        details['group'] = res.group
    label = res.kind + ('.' + res.group if res.group else '')
    return ApiError(422, 'Invalid', '%s "%s" is invalid: %s' % (label, name, text), details)


def expired(message='The provided continue parameter is too old to display a consistent list result. You can start a new '
                    'list without the continue parameter.'):
    return ApiError(410, 'Expired', message)


def too_old(asked, oldest):
    return ApiError(410, 'Expired', 'too old resource version: %d (%d)' % (asked, oldest))
