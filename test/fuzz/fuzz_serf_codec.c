/* fuzz_serf_codec.c — what an agent sends, from bytes to every typed decoder
 *
 * The first byte chooses how the rest is cut into feeds; frames must not depend on that.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serf/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_bodies(const struct serf_frame *f)
{
	struct serf_keys keys = { .keys = NULL };
	struct serf_stats stats = { .items = NULL };
	struct serf_coordinate coordinate;
	const char *line;
	unsigned joined;
	size_t n;

	(void)serf_decode_join(f, &joined);
	(void)serf_decode_log(f, &line, &n);
	(void)serf_decode_coordinate(f, &coordinate);
	if (serf_decode_keys(f, &keys) == 0)
		serf_keys_fini(&keys);
	if (serf_decode_stats(f, &stats) == 0)
		serf_stats_fini(&stats);
}

static void decode_frame(const struct serf_frame *f)
{
	struct serf_members members = { .items = NULL };
	struct serf_query_record record;
	struct serf_event event;
	struct serf_header header;

	if (serf_decode_header(f, &header) == 0 && strlen(header.error) >= sizeof(header.error))
		abort();
	(void)serf_decode_event(f, &event);
	(void)serf_decode_query_record(f, &record);
	decode_bodies(f);
	if (serf_decode_members(f, NULL, &members) == 0) {
		struct serf_members again = { .items = NULL };
		int r = serf_decode_members(f, &members, &again);

		for (size_t i = 1; i < members.count; i++)
			if (strcmp(members.items[i - 1].name, members.items[i].name) >= 0)
				abort();
		if (r == 0)
			serf_members_fini(&again);
	}
	serf_members_fini(&members);
}

/* A number that says which frames came out. */
static uint64_t decode_stream(const uint8_t *data, size_t size, size_t step, int decode)
{
	uint64_t sum = STR_HASH_INIT;
	struct serf_decoder d;
	int r = 0;

	serf_decoder_init(&d);
	for (size_t at = 0; at < size && r >= 0; at += step) {
		struct serf_frame f;

		r = serf_decoder_feed(&d, data + at, at + step < size ? step : size - at);
		while (r >= 0 && (r = serf_decoder_next(&d, &f)) == 0) {
			sum = str_hash(sum, f.data, f.n);
			if (decode)
				decode_frame(&f);
		}
	}
	serf_decoder_fini(&d);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	if (decode_stream(data + 1, size - 1, size, 1) != decode_stream(data + 1, size - 1, 1u + data[0], 0))
		abort();
	return 0;
}
