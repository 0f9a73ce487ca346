/* fake_agent.h — a serf agent that misbehaves on request, on the test's own loop */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct fake_agent;

enum fake_fault {
	FAKE_NONE,
	FAKE_CLOSE_AT_HANDSHAKE,
	FAKE_HALF_HANDSHAKE,		/* half of the answer, then silence */
	FAKE_REFUSE_HANDSHAKE,
	FAKE_SILENT,			/* members are never answered */
	FAKE_LATE,			/* slow commands are answered when the next request comes */
	FAKE_GARBAGE,			/* members are answered with bytes that are no msgpack */
	FAKE_HUGE,			/* … with a text of 1 GiB */
	FAKE_HALF,			/* … with half a frame, and closed */
	FAKE_WRONG_SEQ,			/* … with a Seq that nobody sent */
	FAKE_WRONG_TYPES,		/* … with a body of other types */
	FAKE_DRIP,			/* everything is answered one byte at a time */
};

struct fake_agent *fake_agent_new(struct loop *loop);
void fake_agent_free(struct fake_agent *f);
const char *fake_agent_addr(const struct fake_agent *f);
/* The next `times` faulty moments are such; afterwards it behaves. */
void fake_agent_fault(struct fake_agent *f, enum fake_fault fault, unsigned times);
void fake_agent_members(struct fake_agent *f,
			size_t count); /* how many it has; default 3; order changes with every answer */
void fake_agent_event(struct fake_agent *f, const char *name, const char *payload);	/* to all streams */
void fake_agent_query(struct fake_agent *f, uint64_t id, const char *name);
void fake_agent_member_event(struct fake_agent *f);
void fake_agent_drop(struct fake_agent *f);			/* close every connection */
unsigned fake_agent_count(const struct fake_agent *f, const char *command);	/* requests seen */
uint64_t fake_agent_last_id(const struct fake_agent *f);	/* of the last respond */
