"""Reads the protobuf bodies that kubectl sends for `kubectl create KIND NAME` and for evictions. Answers are always JSON.

Only these messages and the fields that those commands fill are known; the field numbers are those of the API's generated.proto files.
An unknown field is refused rather than dropped.
"""
import base64

from errors import ApiError

MAGIC = b'k8s\x00'
# message → {field number: (name, type)}; type: a message, 'str', 'int', 'bool', 'bytes', None (skipped); [] repeated, {} map of strings to it
STATUS = ('status', None)                          # what clients send as status is ignored on creation
META = {1: ('name', 'str'), 2: ('generateName', 'str'), 3: ('namespace', 'str'), 4: ('selfLink', 'str'), 5: ('uid', 'str'), 6: ('resourceVersion', 'str'),
        7: ('generation', 'int'), 8: ('creationTimestamp', None), 11: ('labels', '{str}'), 12: ('annotations', '{str}'), 14: ('finalizers', '[str]')}
MESSAGES = {
    'Meta': META,
    'Namespace': {1: ('metadata', 'Meta'), 2: ('spec', None), 3: STATUS},
    'ConfigMap': {1: ('metadata', 'Meta'), 2: ('data', '{str}'), 3: ('binaryData', '{bytes}'), 4: ('immutable', 'bool')},
    'Secret': {1: ('metadata', 'Meta'), 2: ('data', '{bytes}'), 3: ('type', 'str'), 4: ('stringData', '{str}'), 5: ('immutable', 'bool')},
    'ServiceAccount': {1: ('metadata', 'Meta'), 4: ('automountServiceAccountToken', 'bool')},
    'Deployment': {1: ('metadata', 'Meta'), 2: ('spec', 'DeploymentSpec'), 3: STATUS},
    'DeploymentSpec': {1: ('replicas', 'int'), 2: ('selector', 'LabelSelector'), 3: ('template', 'PodTemplate'), 4: ('strategy', 'Strategy'),
                       5: ('minReadySeconds', 'int'), 6: ('revisionHistoryLimit', 'int'), 7: ('paused', 'bool'), 9: ('progressDeadlineSeconds', 'int')},
    'Strategy': {1: ('type', 'str')},
    'LabelSelector': {1: ('matchLabels', '{str}')},
    'PodTemplate': {1: ('metadata', 'Meta'), 2: ('spec', 'PodSpec')},
    'PodSpec': {2: ('containers', '[Container]'), 3: ('restartPolicy', 'str'), 4: ('terminationGracePeriodSeconds', 'int'), 6: ('dnsPolicy', 'str'),
                7: ('nodeSelector', '{str}'), 8: ('serviceAccountName', 'str'), 9: ('serviceAccount', 'str'), 10: ('nodeName', 'str'),
                11: ('hostNetwork', 'bool'), 12: ('hostPID', 'bool'), 13: ('hostIPC', 'bool'), 14: ('securityContext', None), 16: ('hostname', 'str'),
                17: ('subdomain', 'str'), 19: ('schedulerName', 'str'), 24: ('priorityClassName', 'str')},
    'Container': {1: ('name', 'str'), 2: ('image', 'str'), 3: ('command', '[str]'), 4: ('args', '[str]'), 5: ('workingDir', 'str'), 6: ('ports', '[Port]'),
                  7: ('env', '[EnvVar]'), 8: ('resources', None), 13: ('terminationMessagePath', 'str'), 14: ('imagePullPolicy', 'str'),
                  16: ('stdin', 'bool'), 17: ('stdinOnce', 'bool'), 18: ('tty', 'bool'), 20: ('terminationMessagePolicy', 'str')},
    'Port': {1: ('name', 'str'), 2: ('hostPort', 'int'), 3: ('containerPort', 'int'), 4: ('protocol', 'str'), 5: ('hostIP', 'str')},
    'EnvVar': {1: ('name', 'str'), 2: ('value', 'str')},
    'Eviction': {1: ('metadata', 'Meta'), 2: ('deleteOptions', 'DeleteOptions')},
    'DeleteOptions': {1: ('gracePeriodSeconds', 'int'), 2: ('preconditions', 'Preconditions'), 3: ('orphanDependents', 'bool'),
                      4: ('propagationPolicy', 'str'), 5: ('dryRun', '[str]')},
    'Preconditions': {1: ('uid', 'str'), 2: ('resourceVersion', 'str')},
}
TYPE_META = {1: ('apiVersion', 'str'), 2: ('kind', 'str')}


def _unsupported(why):
    return ApiError(415, 'UnsupportedMediaType', 'the body of the request was in an unknown format: %s; send JSON' % why, {})


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _fields(data):
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            value, at = _varint(data, at)
        elif tag & 7 == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise IndexError
            value, at = data[at:at + size], at + size
        else:
            raise _unsupported('wire type %d' % (tag & 7))
        yield tag >> 3, value


def _value(kind, value):
    if kind == 'str':
        return value.decode()
    if kind == 'bytes':
        return base64.b64encode(value).decode()
    if kind == 'int':
        return value - (1 << 64) if value >> 63 else value
    if kind == 'bool':
        return bool(value)
    return _message(MESSAGES[kind], value)


def _message(fields, data):
    out = {}
    for number, value in _fields(data):
        if number not in fields:
            raise _unsupported('field %d' % number)
        name, kind = fields[number]
        if kind is None:
            if name in ('resources', 'securityContext') and value:
                raise _unsupported(name)
            continue
        if kind[0] == '[':
            out.setdefault(name, []).append(_value(kind[1:-1], value))
        elif kind[0] == '{':
            pair = dict(_fields(value))
            out.setdefault(name, {})[pair.get(1, b'').decode()] = _value(kind[1:-1], pair.get(2, b''))
        else:
            got = _value(kind, value)
            if got != '' and got is not False and (name, got) != ('hostPort', 0):      # how Go sends what is not set
                out[name] = got
    return out


def decode(body):
    """The object as JSON would have had it."""
    if not body.startswith(MAGIC):
        raise _unsupported('no magic')
    try:
        outer = {n: v for n, v in _fields(body[4:])}
        meta = _message(TYPE_META, outer[1])
        if meta.get('kind') not in MESSAGES:
            raise _unsupported('kind %s' % meta.get('kind'))
        obj = _message(MESSAGES[meta['kind']], outer.get(2, b''))
    except (IndexError, KeyError, UnicodeDecodeError, AttributeError):
        raise _unsupported('broken protobuf') from None
    return dict(obj, **meta)
