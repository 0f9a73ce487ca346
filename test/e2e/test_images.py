"""Offline nothing can be pulled: who does not have an image does not try to run it."""
from stage import check_healthy, stage, wait_for

BUSYBOX, SHOP = 'localhost/busybox:1', 'localhost/shop:1'


def bring(n, *images):
    """A node on which somebody has pulled these."""
    n.parts['kubelet'].kill()
    n.start_kubelet(*[x for image in images for x in ('--image', image)])


def pinned(c, name, node, replicas, **more):
    """All of it on one node; a copy may run anywhere."""
    container = {'name': 'c', 'image': BUSYBOX, 'command': ['/bin/sleep', '100000'],
                 'resources': {'requests': {'cpu': '10m', 'memory': '16Mi'}}}
    spec = {'nodeName': node.name, 'containers': [dict(container, image=SHOP)]}
    c.deploy(name, replicas, spec=dict(spec, **more))


def verdict(n, name):
    return next((w for w in n.http('/v1/readiness') or [] if w['deployment'] == name), {})


def wait_lacks(n, name):
    wait_for(lambda: 'image %s is not on this node' % SHOP in verdict(n, name).get('reason', ''), 30, '%s knows that it lacks the image' % n.name)


@stage(kubelet_args=('--image', BUSYBOX))
def test_lost_pods_run_where_their_image_is(c):
    victim, has, lacks = c.nodes
    for n in (victim, has):
        bring(n, SHOP)
    init = {'name': 'i', 'image': SHOP, 'command': ['/bin/true']}
    main = {'name': 'c', 'image': BUSYBOX, 'command': ['/bin/sleep', '100000'], 'resources': {'requests': {'cpu': '10m', 'memory': '16Mi'}}}
    pinned(c, 'shop', victim, 8)
    pinned(c, 'init', victim, 4, containers=[main], initContainers=[init])
    for name, replicas in (('shop', 8), ('init', 4)):
        c.wait_ready(name, replicas)
        wait_for(lambda name=name: verdict(has, name).get('ready'), 30, 'the other node could restore it')
        wait_lacks(lacks, name)
    c.offline()
    lost = c.pods_on(victim, 'init') + c.lose(victim, 'shop')
    where = c.wait_copies(lost)
    assert set(where.values()) == {has.name}, where
    assert not c.rows('manifest written', 'withdrawn', 'refused', nodes=[lacks]), 'it did not even have its turn'
    c.assert_never_crowded(lost)
    check_healthy(c)


@stage(kubelet_args=('--image', BUSYBOX))
def test_a_pod_that_never_had_its_image_is_refused_after_a_boot(c):
    node = c.nodes[2]
    pinned(c, 'shop', node, 2)
    wait_for(lambda: len([e for e in node.journal() if e['event'] == 'image-missing']) == 2, 20, 'its pods wait for the image')
    wait_lacks(node, 'shop')
    c.wait_mirrored([])
    c.cut_uplink()
    c.wait_link('offline')
    node.power_off()
    node.power_on()
    rows = wait_for(lambda: (lambda told: told if len(told) == 2 else None)(c.rows('refused', nodes=[node])), 45, 'both are refused')
    assert all('its image is not on the node' in h['detail'] for h in rows), rows
    assert not node.manifests() and not c.rows('manifest written')


@stage()
def test_images_pulled_with_a_secret_are_warned_of_and_still_tried(c):
    """kubelet 1.35 and above lets a pod without that Secret use such an image only after it asked the registry."""
    c.run_web(spec={'imagePullSecrets': [{'name': 'registry'}]})
    c.create('Secret', 'secrets', 'registry', type='kubernetes.io/dockerconfigjson', data={'.dockerconfigjson': 'e30='})
    wait_for(lambda: all('imagePullCredentialsVerificationPolicy' in verdict(n, 'web').get('reason', '') for n in c.nodes), 15, 'all nodes warn')
    told = next(n for n in c.nodes if n is not c.busiest())
    c.config = dict(c.config, **{'kubelet.pulled_images': 'trusted'})
    told.write_config()                       # a changed file is read by itself
    wait_for(lambda: verdict(told, 'web').get('ready'), 15, 'a site may know better')
    c.offline()
    lost = c.lose(next(n for n in c.nodes if n is not told and c.pods_on(n)))
    c.wait_copies(lost)
