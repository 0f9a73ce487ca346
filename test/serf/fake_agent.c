/* fake_agent.c — a serf agent that misbehaves on request */
#include "fake_agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <msgpack.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "serf/codec.h"

struct peer {
	struct list link;
	struct fake_agent *fake;
	struct io *io;
	int fd;
	struct serf_decoder in;
	bool has_head;			/* the body of `command` is due */
	char command[32];
	uint64_t seq, stream;		/* stream: its Seq, 0 = none */
	struct buf held;		/* FAKE_LATE */
};

struct fake_agent {
	struct loop *loop;
	struct io *io;
	int fd;
	char addr[64];
	struct list peers;
	enum fake_fault fault;
	unsigned times;
	size_t members, shift;
	unsigned counts[SERF_CMD_COUNT];
	uint64_t last_id;
};

/* Like assert, but it always runs. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

static void peer_free(struct peer *p)
{
	list_remove(&p->link);
	io_free(p->io);
	(void)close(p->fd);
	serf_decoder_fini(&p->in);
	buf_fini(&p->held);
	free(p);
}

static bool fault_is(struct fake_agent *f, enum fake_fault fault)
{
	if (f->fault != fault || f->times == 0)
		return false;
	if (fault != FAKE_DRIP)
		f->times--;
	return true;
}

static void peer_write(struct peer *p, const char *data, size_t n)
{
	size_t step = fault_is(p->fake, FAKE_DRIP) ? 1 : n;

	while (n > 0) {
		ssize_t k = send(p->fd, data, step < n ? step : n, MSG_NOSIGNAL);

		if (k < 0)
			return;
		data += k;
		n -= (size_t)k;
	}
}

static void pack_text(msgpack_packer *pk, const char *s)
{
	msgpack_pack_str_with_body(pk, s, strlen(s));
}

static void pack_head(msgpack_packer *pk, uint64_t seq, const char *error)
{
	msgpack_pack_map(pk, 2);
	pack_text(pk, "Error");
	pack_text(pk, error);
	pack_text(pk, "Seq");
	msgpack_pack_uint64(pk, seq);
}

static void pack_member(msgpack_packer *pk, size_t i)
{
	char name[64], rack[32];
	unsigned char ip[4] = { 10, 0, (unsigned char)(i >> 8), (unsigned char)i };

	(void)snprintf(name, sizeof(name), "edge-%04zu.site-a.example", i);
	(void)snprintf(rack, sizeof(rack), "rack-%zu", i % 40);
	msgpack_pack_map(pk, 11);
	pack_text(pk, "Addr");
	msgpack_pack_bin_with_body(pk, ip, sizeof(ip));
	for (int k = 0; k < 6; k++) {
		pack_text(pk, (const char *[]){"DelegateCur", "DelegateMax", "DelegateMin", "ProtocolCur",
					       "ProtocolMax", "ProtocolMin"}[k]);
		msgpack_pack_int(pk, 5);
	}
	pack_text(pk, "Name");
	pack_text(pk, name);
	pack_text(pk, "Port");
	msgpack_pack_int(pk, 7946);
	pack_text(pk, "Status");
	pack_text(pk, "alive");
	pack_text(pk, "Tags");
	msgpack_pack_map(pk, 6);
	for (int k = 0; k < 6; k++) {
		pack_text(pk, (const char *[]){ "cpu", "mem", "pods", "api", "site", "rack" }[k]);
		pack_text(pk, (const char *[]){ "3200", "14336", "97", "1", "lakeside-west", rack }[k]);
	}
}

static void pack_members(msgpack_packer *pk, struct fake_agent *f)
{
	msgpack_pack_map(pk, 1);
	pack_text(pk, "Members");
	msgpack_pack_array(pk, f->members);
	f->shift++;
	for (size_t i = 0; i < f->members; i++)
		pack_member(pk, (i + f->shift) % f->members);
}

static void pack_stats(msgpack_packer *pk)
{
	msgpack_pack_map(pk, 1);
	pack_text(pk, "agent");
	msgpack_pack_map(pk, 1);
	pack_text(pk, "name");
	pack_text(pk, "edge-0001.site-a.example");
}

/* The answer to `members`, spoiled as asked. False: do not answer. */
static bool members_answer(struct peer *p, msgpack_sbuffer *b, msgpack_packer *pk)
{
	struct fake_agent *f = p->fake;

	if (fault_is(f, FAKE_SILENT))
		return false;
	if (fault_is(f, FAKE_GARBAGE)) {
		msgpack_sbuffer_write(b, "\xc1\xc1\xc1", 3);
		return true;
	}
	pack_head(pk, fault_is(f, FAKE_WRONG_SEQ) ? p->seq + 1000 : p->seq, "");
	if (fault_is(f, FAKE_HUGE)) {
		msgpack_sbuffer_write(b, "\xdb\x40\x00\x00\x00xyz", 8);
	} else if (fault_is(f, FAKE_WRONG_TYPES)) {
		msgpack_pack_map(pk, 1);
		pack_text(pk, "Members");
		pack_text(pk, "many");
	} else {
		pack_members(pk, f);
	}
	if (fault_is(f, FAKE_HALF)) {
		peer_write(p, b->data, b->size / 2);
		(void)shutdown(p->fd, SHUT_WR);
		return false;
	}
	return true;
}

/* False: do not answer. */
static bool answer_pack(struct peer *p, msgpack_sbuffer *b, msgpack_packer *pk)
{
	struct fake_agent *f = p->fake;

	if (str_eq(p->command, "members"))
		return members_answer(p, b, pk);
	if (str_eq(p->command, "handshake")) {
		if (fault_is(f, FAKE_CLOSE_AT_HANDSHAKE)) {
			(void)shutdown(p->fd, SHUT_RDWR);
			return false;
		}
		if (fault_is(f, FAKE_HALF_HANDSHAKE)) {
			peer_write(p, "\x82\xa5" "Err", 5);
			return false;
		}
		pack_head(pk, p->seq, fault_is(f, FAKE_REFUSE_HANDSHAKE) ? "Unsupported IPC version" : "");
		return true;
	}
	pack_head(pk, p->seq, "");
	if (str_eq(p->command, "stats"))
		pack_stats(pk);
	if (str_eq(p->command, "join")) {
		msgpack_pack_map(pk, 1);
		pack_text(pk, "Num");
		msgpack_pack_int(pk, 2);
	}
	return true;
}

static void peer_answer(struct peer *p)
{
	bool slow = str_eq(p->command, "join") || str_eq(p->command, "force-leave");
	msgpack_sbuffer b;
	msgpack_packer pk;

	if (str_eq(p->command, "stream"))
		p->stream = p->seq;
	msgpack_sbuffer_init(&b);
	msgpack_packer_init(&pk, &b, msgpack_sbuffer_write);
	if (answer_pack(p, &b, &pk)) {
		if (slow && fault_is(p->fake, FAKE_LATE)) {
			buf_add(&p->held, b.data, b.size);
		} else {
			peer_write(p, p->held.data, p->held.len);
			buf_clear(&p->held);
			peer_write(p, b.data, b.size);
		}
	}
	msgpack_sbuffer_destroy(&b);
}

static const msgpack_object *request_field(const msgpack_object *map, const char *key)
{
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object_str *k = &map->via.map.ptr[i].key.via.str;

		if (k->size == strlen(key) && memcmp(k->ptr, key, k->size) == 0)
			return &map->via.map.ptr[i].val;
	}
	return NULL;
}

static void peer_head(struct peer *p, const msgpack_object *o)
{
	const msgpack_object *command = request_field(o, "Command"), *seq = request_field(o, "Seq");

	must(command && seq);
	(void)snprintf(p->command, sizeof(p->command), "%.*s", (int)command->via.str.size, command->via.str.ptr);
	p->seq = seq->via.u64;
	for (int i = 0; i < SERF_CMD_COUNT; i++)
		p->fake->counts[i] += str_eq(serf_command_name((enum serf_command)i), p->command);
	p->has_head = !str_eq(p->command, "members") && !str_eq(p->command, "stats") && !str_eq(p->command, "leave") &&
		      !str_eq(p->command, "list-keys");
	if (!p->has_head)
		peer_answer(p);
}

static void peer_frame(struct peer *p, const struct serf_frame *frame)
{
	msgpack_unpacked m;
	size_t off = 0;

	msgpack_unpacked_init(&m);
	must(msgpack_unpack_next(&m, frame->data, frame->n, &off) == MSGPACK_UNPACK_SUCCESS);
	if (!p->has_head) {
		peer_head(p, &m.data);
	} else {
		const msgpack_object *id = request_field(&m.data, "ID");

		p->has_head = false;
		if (id)
			p->fake->last_id = id->via.u64;
		peer_answer(p);
	}
	msgpack_unpacked_destroy(&m);
}

static void on_peer(void *arg, int events)
{
	struct peer *p = arg;
	char data[4096];
	ssize_t n = recv(p->fd, data, sizeof(data), MSG_DONTWAIT);
	struct serf_frame frame;

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		peer_free(p);
		return;
	}
	must(serf_decoder_feed(&p->in, data, (size_t)n) == 0);
	while (serf_decoder_next(&p->in, &frame) == 0)
		peer_frame(p, &frame);
}

static void on_accept(void *arg, int events)
{
	struct fake_agent *f = arg;
	struct peer *p = mem_new(struct peer);
	int on = 1;

	(void)events;
	p->fake = f;
	p->fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);
	must(p->fd >= 0);
	(void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	serf_decoder_init(&p->in);
	list_add_tail(&f->peers, &p->link);
	p->io = io_new(f->loop, p->fd, on_peer, p);
	io_watch(p->io, IO_READ);
}

struct fake_agent *fake_agent_new(struct loop *loop)
{
	struct fake_agent *f = mem_new(struct fake_agent);
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);

	f->loop = loop;
	f->members = 3;
	list_init(&f->peers);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(f->fd >= 0 && bind(f->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(f->fd, 16) == 0);
	must(getsockname(f->fd, (struct sockaddr *)&sa, &len) == 0);
	(void)snprintf(f->addr, sizeof(f->addr), "127.0.0.1:%u", ntohs(sa.sin_port));
	f->io = io_new(loop, f->fd, on_accept, f);
	io_watch(f->io, IO_READ);
	return f;
}

void fake_agent_drop(struct fake_agent *f)
{
	list_for_each_safe(p, &f->peers, struct peer, link)
		peer_free(p);
}

void fake_agent_free(struct fake_agent *f)
{
	fake_agent_drop(f);
	io_free(f->io);
	(void)close(f->fd);
	free(f);
}

const char *fake_agent_addr(const struct fake_agent *f)
{
	return f->addr;
}

void fake_agent_fault(struct fake_agent *f, enum fake_fault fault, unsigned times)
{
	f->fault = fault;
	f->times = times;
}

void fake_agent_members(struct fake_agent *f, size_t count)
{
	f->members = count;
}

unsigned fake_agent_count(const struct fake_agent *f, const char *command)
{
	for (int i = 0; i < SERF_CMD_COUNT; i++)
		if (str_eq(serf_command_name((enum serf_command)i), command))
			return f->counts[i];
	return 0;
}

uint64_t fake_agent_last_id(const struct fake_agent *f)
{
	return f->last_id;
}

/* One record to every stream. */
static void stream_send(struct fake_agent *f, const char *event, uint64_t id, const char *name, const char *payload)
{
	list_for_each(p, &f->peers, struct peer, link) {
		msgpack_sbuffer b;
		msgpack_packer pk;

		if (!p->stream)
			continue;
		msgpack_sbuffer_init(&b);
		msgpack_packer_init(&pk, &b, msgpack_sbuffer_write);
		pack_head(&pk, p->stream, "");
		msgpack_pack_map(&pk, 5);
		pack_text(&pk, "Event");
		pack_text(&pk, event);
		pack_text(&pk, "LTime");
		msgpack_pack_int(&pk, 1);
		pack_text(&pk, "ID");
		msgpack_pack_uint64(&pk, id);
		pack_text(&pk, "Name");
		pack_text(&pk, name);
		pack_text(&pk, "Payload");
		pack_text(&pk, payload);
		peer_write(p, b.data, b.size);
		msgpack_sbuffer_destroy(&b);
	}
}

void fake_agent_event(struct fake_agent *f, const char *name, const char *payload)
{
	stream_send(f, "user", 0, name, payload);
}

void fake_agent_query(struct fake_agent *f, uint64_t id, const char *name)
{
	stream_send(f, "query", id, name, "");
}

void fake_agent_member_event(struct fake_agent *f)
{
	stream_send(f, "member-join", 0, "", "");
}
