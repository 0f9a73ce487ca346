/* roster.c — the last known members of the site, longer than Serf knows them
 *
 * Serf forgets failed members (snapshot at once, reaping after 24 h): each part of a long partition would then take itself
 * for the whole site, and its agents would never find each other again. So members are kept in the store until they leave on
 * purpose or their Node is deleted. One that Serf does not list any more is shown to heal/ as failed, and its address is
 * joined now and then.
 *
 * While the API server is away an operator can say that a member does not count (edge-healer forget). The store keeps that
 * until the member is back.
 */
#include <stdlib.h>

#include "agent_int.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

struct known {
	char *name, *addr, *site;
	uint16_t port;
	struct mono missing_since;	/* Serf does not list it; 0 = it does */
	struct mono first_seen;		/* by this process */
	bool stored;
	bool forgotten;			/* by an operator, until it is back */
};

#define META_FORGOTTEN "forgotten/%s"	/* key of the store: a node's name */

static void known_free(struct known *k)
{
	free(k->name);
	free(k->addr);
	free(k->site);
	free(k);
}

static struct known *known_put(struct agent *a, const struct store_peer *p)
{
	struct known *k = map_get(a->roster, p->name);

	if (!k) {
		k = mem_new(struct known);
		k->name = str_dup(p->name);
		k->first_seen = loop_now(a->loop);
		(void)map_put(a->roster, k->name, k);
	}
	str_set(&k->addr, p->addr);
	str_set(&k->site, p->site);
	k->port = p->port;
	return k;
}

static void known_forget(struct agent *a, struct known *k, bool forgotten)
{
	cleanup(freep) char *key = str_format(META_FORGOTTEN, k->name);

	k->forgotten = forgotten;
	if (store_batch_begin(a) < 0 || (forgotten ? store_put_meta(a->store, key, "") : store_delete_meta(a->store, key)) < 0)
		a->store_failed = true;
}

static void known_remove(struct agent *a, const char *name, const char *why)
{
	struct known *k = map_get(a->roster, name);

	if (!k)
		return;
	log_info(LOG_SERF, "member forgotten", "node=%s reason=\"%s\"", name, why);
	if (k->stored && store_batch_begin(a) == 0 && store_delete_peer(a->store, name) < 0)
		a->store_failed = true;
	if (k->forgotten)
		known_forget(a, k, false);
	identities_forget(a, name);
	(void)map_remove(a->roster, name);
	known_free(k);
}

static void on_stored(void *arg, const struct store_peer *p)
{
	struct agent *a = arg;
	struct known *k = known_put(a, p);
	cleanup(freep) char *key = str_format(META_FORGOTTEN, p->name), *forgotten = store_get_meta(a->store, key);

	k->stored = true;
	k->forgotten = forgotten != NULL;
}

int roster_load(struct agent *a)
{
	a->roster = map_new();
	return store_each_peer(a->store, on_stored, a);
}

void roster_free(struct agent *a)
{
	map_for_each(struct known, k, a->roster)
		known_free(k);
	map_free(a->roster);
}

/* A stranger is remembered for as long as this process: only whether it was there before the Nodes were listed. */
static void note_alive(struct agent *a, const struct peer *p)
{
	struct known *k = map_get(a->roster, p->name);
	struct store_peer row = { p->name, p->addr, p->site, p->port };
	bool store = p->standing == PEER_MEMBER;

	if (k && k->stored == store && str_eq(k->addr, p->addr) && str_eq(k->site, p->site) && k->port == p->port)
		return;
	if ((map_count(a->roster) >= ROSTER_MAX && !k) || (!store && p->protocol < 1))
		return;
	k = known_put(a, &row);
	k->stored = k->stored || store;
	if (store && store_batch_begin(a) == 0 && store_put_peer(a->store, &row, loop_wall(a->loop)) < 0)
		a->store_failed = true;
}

const char *roster_site(const struct agent *a, const char *node)
{
	const struct known *k = map_get(a->roster, node);

	return k ? k->site : NULL;
}

/* A Node that was deleted while the API server told us so is no member any more. */
static void forget_deleted(struct agent *a)
{
	if (a->link.state != LINK_ONLINE || !mono_is_set(a->synced_at))
		return;
	map_for_each(struct known, k, a->roster) {
		const struct peer *p = peers_find(&a->peers, k->name);

		if (!view_node(a->view, k->name) && (!p || p->status != PEER_ALIVE))
			known_remove(a, k->name, "its Node is deleted");
	}
}

/* ---- who belongs to us ---- */

/* The mirror is what the API server said last: no Node, no member. A healer that came after the last confirmed list of Nodes
 * may have got one since; one that was there before has none. */
static enum peer_standing standing_of(const struct agent *a, const struct peer *p)
{
	const struct known *k = map_get(a->roster, p->name);

	if (p->name == a->self || view_node(a->view, p->name))
		return PEER_MEMBER;
	if (p->protocol < 1)
		return PEER_STRANGER;
	if (!k || !mono_is_set(a->mirror_confirmed) || k->first_seen.ns > a->mirror_confirmed.ns)
		return PEER_NEWCOMER;
	return PEER_STRANGER;
}

/* A leave is no proof of anything: anybody can say it of a failed node (force-leave), and a machine that shuts down says it
 * too. A member that left is one that failed, until its Node is deleted. */
static void stand(const struct agent *a, struct peer *p)
{
	const struct known *k = map_get(a->roster, p->name);

	p->standing = standing_of(a, p);
	if (p->left)
		p->status = p->standing == PEER_MEMBER ? PEER_FAILED : PEER_LEFT;
	p->forgotten = k && k->forgotten && p->status != PEER_ALIVE;
}

const char *roster_forget(struct agent *a, const char *node)
{
	const struct peer *p = peers_find(&a->peers, node);
	struct known *k = map_get(a->roster, node);

	if (a->link.state == LINK_ONLINE)
		return "the API server answers: delete its Node instead";
	if (p && p->name == a->self)
		return "that is this node itself";
	if (!p || p->standing != PEER_MEMBER || !k)
		return "no member has this name";
	if (p->status != PEER_FAILED)
		return "it is there: gossip sees it";
	known_forget(a, k, true);
	roster_stand(a);
	return NULL;
}

/* It is there again, and counts. */
static void remember(struct agent *a, const struct peer *p)
{
	struct known *k = map_get(a->roster, p->name);

	if (!k || !k->forgotten)
		return;
	known_forget(a, k, false);
	tell(a, &(struct tale){ .event = "member remembered", .kube_reason = "MemberRemembered", .node = p->name },
	     "note=\"it is back: it counts again\"");
}

void roster_stand(struct agent *a)
{
	for (size_t i = 0; i < a->peers.count; i++)
		stand(a, &a->peers.items[i]);
}

size_t roster_strangers(const struct agent *a, const char **out_first)
{
	size_t n = 0;

	for (size_t i = 0; i < a->peers.count; i++)
		if (a->peers.items[i].standing != PEER_MEMBER && a->peers.items[i].status == PEER_ALIVE && n++ == 0)
			*out_first = a->peers.items[i].name;
	return n;
}

static void append_missing(struct agent *a, struct known *k)
{
	struct peer *p;

	if (!mono_is_set(k->missing_since))
		k->missing_since = loop_now(a->loop);
	a->peers.items = mem_resize(a->peers.items, a->peers.count + 1, sizeof(a->peers.items[0]));
	p = &a->peers.items[a->peers.count++];
	*p = (struct peer){ .name = intern(k->name), .port = k->port, .status = PEER_FAILED, .status_since = k->missing_since,
			    .site = intern(k->site) };
	(void)str_copy(p->addr, sizeof(p->addr), k->addr);
	stand(a, p);
}

void roster_apply(struct agent *a)
{
	size_t listed = a->peers.count;

	for (size_t i = 0; i < listed; i++) {
		struct peer *p = &a->peers.items[i];

		stand(a, p);
		if (p->standing == PEER_STRANGER && p->status != PEER_ALIVE)
			known_remove(a, p->name, "it is gone, and no Node");
		else if (p->status == PEER_ALIVE && p->name != a->self && p->addr[0])
			note_alive(a, p);
		if (p->status == PEER_ALIVE)
			remember(a, p);
	}
	forget_deleted(a);
	map_for_each(struct known, k, a->roster) {
		if (!k->stored && !peers_find(&a->peers, k->name))
			known_remove(a, k->name, "it is gone, and no Node");
	}
	map_for_each(struct known, k, a->roster) {
		if (peers_find(&a->peers, k->name))
			k->missing_since = (struct mono){ 0 };
		else
			append_missing(a, k);
	}
}

/* ---- joining ---- */

static void on_joined(void *arg, int r, unsigned joined)
{
	struct agent *a = arg;

	a->join = NULL;
	log_info(LOG_SERF, "join", "joined=%u result=%s", joined, r == 0 ? "ok" : r < 0 ? err_str(r) : "refused");
}

static bool is_there(const struct agent *a, const char *node)
{
	const struct peer *p = peers_find(&a->peers, node);

	return p && p->status == PEER_ALIVE;
}

void roster_join(struct agent *a)
{
	char *addrs[CONF_LIST_MAX];
	size_t n = 0;

	for (size_t i = 0; i < a->conf->serf_join.count && n < ARRAY_LEN(addrs); i++)
		addrs[n++] = str_dup(a->conf->serf_join.items[i]);
	map_for_each(struct known, k, a->roster)
		if (n < ARRAY_LEN(addrs) && !is_there(a, k->name))
			addrs[n++] = str_format(strchr(k->addr, ':') ? "[%s]:%u" : "%s:%u", k->addr, k->port);
	if (n && !a->join)
		a->join = serf_client_join(a->serf, (const char *const *)addrs, n, on_joined, a);
	for (size_t i = 0; i < n; i++)
		free(addrs[i]);
}

/* Somebody that Serf itself does not try any more. */
bool roster_misses_somebody(const struct agent *a)
{
	map_for_each(struct known, k, a->roster)
		if (mono_is_set(k->missing_since))
			return true;
	return false;
}
