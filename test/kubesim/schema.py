"""The kinds the API server knows, and the discovery and OpenAPI documents derived from that one table."""


class Resource:
    """One REST resource: where it lives in the URL space and which subresources it has."""

    def __init__(self, group, version, plural, kind, namespaced=True, short=(), subs=(), storage=None):
        self.group, self.version, self.plural, self.kind = group, version, plural, kind
        self.namespaced, self.short, self.subs = namespaced, list(short), list(subs)
        self.storage = storage or self.qualified      # two groups can serve one storage (events)

    @property
    def qualified(self):
        return '%s.%s' % (self.plural, self.group) if self.group else self.plural

    @property
    def api_version(self):
        return '%s/%s' % (self.group, self.version) if self.group else self.version

    @property
    def base(self):
        return ('/apis/' if self.group else '/api/') + self.api_version


RESOURCES = [
    Resource('', 'v1', 'namespaces', 'Namespace', False, ['ns'], ['status']),
    Resource('', 'v1', 'nodes', 'Node', False, ['no'], ['status']),
    Resource('', 'v1', 'pods', 'Pod', True, ['po'], ['status', 'binding', 'eviction', 'ephemeralcontainers']),
    Resource('', 'v1', 'serviceaccounts', 'ServiceAccount', True, ['sa']),
    Resource('', 'v1', 'configmaps', 'ConfigMap', True, ['cm']),
    Resource('', 'v1', 'secrets', 'Secret', True),
    Resource('', 'v1', 'services', 'Service', True, ['svc'], ['status']),
    Resource('', 'v1', 'endpoints', 'Endpoints', True, ['ep']),
    Resource('', 'v1', 'events', 'Event', True, ['ev']),
    Resource('', 'v1', 'persistentvolumeclaims', 'PersistentVolumeClaim', True, ['pvc'], ['status']),
    Resource('events.k8s.io', 'v1', 'events', 'Event', True, ['ev'], storage='events'),
    Resource('apps', 'v1', 'replicasets', 'ReplicaSet', True, ['rs'], ['status', 'scale']),
    Resource('apps', 'v1', 'deployments', 'Deployment', True, ['deploy'], ['status', 'scale']),
    Resource('apps', 'v1', 'daemonsets', 'DaemonSet', True, ['ds'], ['status']),
    Resource('apps', 'v1', 'statefulsets', 'StatefulSet', True, ['sts'], ['status', 'scale']),
    Resource('coordination.k8s.io', 'v1', 'leases', 'Lease', True),
    Resource('discovery.k8s.io', 'v1', 'endpointslices', 'EndpointSlice', True),
    Resource('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget', True, ['pdb'], ['status']),
    Resource('rbac.authorization.k8s.io', 'v1', 'roles', 'Role', True),
    Resource('rbac.authorization.k8s.io', 'v1', 'rolebindings', 'RoleBinding', True),
    Resource('rbac.authorization.k8s.io', 'v1', 'clusterroles', 'ClusterRole', False),
    Resource('rbac.authorization.k8s.io', 'v1', 'clusterrolebindings', 'ClusterRoleBinding', False),
    Resource('scheduling.k8s.io', 'v1', 'priorityclasses', 'PriorityClass', False, ['pc']),
    Resource('apiextensions.k8s.io', 'v1', 'customresourcedefinitions', 'CustomResourceDefinition', False, ['crd'], ['status']),
]
BY_PATH = {(r.group, r.version, r.plural): r for r in RESOURCES}
BY_NAME = {r.qualified: r for r in RESOURCES}
PODS, NODES, LEASES, EVENTS = BY_NAME['pods'], BY_NAME['nodes'], BY_NAME['leases.coordination.k8s.io'], BY_NAME['events']
NAMESPACES, REPLICASETS, DEPLOYMENTS = BY_NAME['namespaces'], BY_NAME['replicasets.apps'], BY_NAME['deployments.apps']
PDBS, SERVICES = BY_NAME['poddisruptionbudgets.policy'], BY_NAME['services']
ENDPOINTSLICES, SERVICEACCOUNTS = BY_NAME['endpointslices.discovery.k8s.io'], BY_NAME['serviceaccounts']
CONFIGMAPS = BY_NAME['configmaps']
HAS_GENERATION = {'pods', 'replicasets', 'deployments', 'daemonsets', 'statefulsets', 'endpointslices',
                  'poddisruptionbudgets', 'customresourcedefinitions'}

VERSION = {'major': '1', 'minor': '36', 'gitVersion': 'v1.36.0-kubesim', 'gitCommit': '', 'gitTreeState': 'clean',
           'buildDate': '1970-01-01T00:00:00Z', 'goVersion': '', 'compiler': '', 'platform': 'linux/amd64'}
VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']
SUBRESOURCE_KIND = {'binding': ('', 'v1', 'Binding', ['create']), 'eviction': ('policy', 'v1', 'Eviction', ['create']),
                    'scale': ('autoscaling', 'v1', 'Scale', ['get', 'patch', 'update'])}


def groups():
    seen = {}
    for r in RESOURCES:
        if r.group:
            seen.setdefault(r.group, r.version)
    return seen


def _group(name, version):
    gv = {'groupVersion': '%s/%s' % (name, version), 'version': version}
    return {'name': name, 'versions': [gv], 'preferredVersion': gv}


def _resource_list(group, version):
    out = []
    for r in (r for r in RESOURCES if (r.group, r.version) == (group, version)):
        row = {'name': r.plural, 'singularName': r.kind.lower(), 'namespaced': r.namespaced, 'kind': r.kind, 'verbs': VERBS}
        if r.short:
            row['shortNames'] = r.short
        if r.plural in ('pods', 'services', 'replicasets', 'deployments', 'daemonsets', 'statefulsets'):
            row['categories'] = ['all']
        out.append(row)
        for sub in r.subs:
            sg, sv, kind, verbs = SUBRESOURCE_KIND.get(sub, (None, None, r.kind, ['get', 'patch', 'update']))
            sub_row = {'name': '%s/%s' % (r.plural, sub), 'singularName': '', 'namespaced': r.namespaced, 'kind': kind, 'verbs': verbs}
            if sg is not None:
                sub_row.update(group=sg, version=sv)
            out.append(sub_row)
    gv = '%s/%s' % (group, version) if group else version
    return {'kind': 'APIResourceList', 'apiVersion': 'v1', 'groupVersion': gv, 'resources': out}


def _openapi_v3(group, version):
    """Only what clients ask of it: that PATCH of a kind takes fieldValidation (then kubectl leaves validation to the server)."""
    paths = {}
    for r in (r for r in RESOURCES if (r.group, r.version) == (group, version)):
        item = r.base + ('/namespaces/{namespace}' if r.namespaced else '') + '/%s/{name}' % r.plural
        names = ('dryRun', 'fieldManager', 'fieldValidation', 'force')
        paths[item] = {'patch': {
            'parameters': [{'name': n, 'in': 'query', 'schema': {'type': 'string'}} for n in names],
            'responses': {'200': {'description': 'OK'}},
            'x-kubernetes-group-version-kind': {'group': r.group, 'version': r.version, 'kind': r.kind}}}
    return {'openapi': '3.0.0', 'info': {'title': 'kubesim', 'version': VERSION['gitVersion']}, 'paths': paths,
            'components': {'schemas': {}}}


def document(path):
    """The discovery or OpenAPI document at this path, or None."""
    path = path.rstrip('/')
    if path == '/version':
        return VERSION
    if path == '/api':
        return {'kind': 'APIVersions', 'apiVersion': 'v1', 'versions': ['v1'], 'serverAddressByClientCIDRs': []}
    if path == '/apis':
        return {'kind': 'APIGroupList', 'apiVersion': 'v1', 'groups': [_group(g, v) for g, v in groups().items()]}
    if path == '/api/v1':
        return _resource_list('', 'v1')
    if path == '/openapi/v3':
        known = ['api/v1'] + ['apis/%s/%s' % gv for gv in groups().items()]
        return {'paths': {p: {'serverRelativeURL': '/openapi/v3/%s?hash=0' % p} for p in known}}
    parts = path.strip('/').split('/')
    if parts[:2] == ['openapi', 'v3']:
        if parts[2:] == ['api', 'v1']:
            return _openapi_v3('', 'v1')
        if len(parts) == 5 and groups().get(parts[3]) == parts[4]:
            return _openapi_v3(parts[3], parts[4])
    if parts[0] == 'apis' and len(parts) in (2, 3) and parts[1] in groups():
        if len(parts) == 2:
            return dict(_group(parts[1], groups()[parts[1]]), kind='APIGroup', apiVersion='v1')
        if groups()[parts[1]] == parts[2]:
            return _resource_list(parts[1], parts[2])
    return None


def parse_path(path):
    """(resource, namespace or None, name or None, subresource or None), or None when the path is no REST path."""
    parts = [p for p in path.split('/') if p]
    if parts[:2] == ['api', 'v1']:
        group, version, rest = '', 'v1', parts[2:]
    elif len(parts) > 3 and parts[0] == 'apis':
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    ns = None
    # /namespaces/x is the Namespace itself, /namespaces/x/pods a collection in it
    if len(rest) > 2 and rest[0] == 'namespaces' and (group, version, rest[2]) in BY_PATH:
        ns, rest = rest[1], rest[2:]
    if not rest or (group, version, rest[0]) not in BY_PATH or len(rest) > 3:
        return None
    res = BY_PATH[(group, version, rest[0])]
    if ns is not None and not res.namespaced:
        return None
    name = rest[1] if len(rest) > 1 else None
    sub = rest[2] if len(rest) > 2 else None
    if sub is not None and sub not in res.subs and not (res is NAMESPACES and sub == 'finalize'):
        return None
    return res, ns, name, sub
