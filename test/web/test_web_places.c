/* test_web_places.c — who must leave when there is no room: each origin has its own places, and who holds most loses
 * one */
#include "../support.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include "web/places.h"

static struct places places;
static int64_t now_s;

static int setup(void **state)
{
	(void)state;
	places_init(&places);
	now_s = 1000;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	list_for_each_safe(pl, &places.all, struct place, link)
		place_free(pl);
	return 0;
}

/* One second later, a connection from there ("" = the Unix socket). */
static struct place *arrive(const char *address)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} a = {.sa.sa_family = AF_UNIX};

	if (strchr(address, ':')) {
		a.sa.sa_family = AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, address, &a.in6.sin6_addr), 1);
	} else if (*address) {
		a.sa.sa_family = AF_INET;
		assert_int_equal(inet_pton(AF_INET, address, &a.in.sin_addr), 1);
	}
	return place_new(&places, -1, &a.sa, (struct mono){++now_s * 1000 * NS_PER_MS});
}

/* n connections from one address, or (it ends in a dot or colon) from as many with that beginning; none of which needs
 * room. */
static struct place *fill(const char *from, int n)
{
	struct place *first = NULL;
	char address[64];

	for (int i = 0; i < n; i++) {
		struct place *pl;

		if (*from && strchr(".:", from[strlen(from) - 1]))
			(void)snprintf(address, sizeof(address), "%s%d", from, i);
		else
			(void)str_copy(address, sizeof(address), from);
		pl = arrive(address);
		assert_null(places_victim(&places, pl));
		first = first ? first : pl;
	}
	return first;
}

static void test_origins(void **state)
{
	static const struct {
		const char *address;
		enum web_origin origin;
	} rows[] = {
	    {"", WEB_SOCKET},
	    {"127.0.0.1", WEB_LOOPBACK},
	    {"127.255.0.9", WEB_LOOPBACK},
	    {"::1", WEB_LOOPBACK},
	    {"::ffff:127.0.0.1", WEB_LOOPBACK},
	    {"10.0.0.1", WEB_REMOTE},
	    {"::ffff:10.0.0.1", WEB_REMOTE},
	    {"fd00::1", WEB_REMOTE},
	    {"128.0.0.1", WEB_REMOTE},
	    {"::2", WEB_REMOTE},
	    {"::127.0.0.1", WEB_REMOTE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (arrive(rows[i].address)->origin != rows[i].origin)
			fail_msg("%s", rows[i].address);
}

static void test_strangers_take_no_place_of_this_machine(void **state)
{
	(void)state;
	(void)fill("10.0.0.", WEB_PLACES_REMOTE);
	(void)fill("127.0.0.1", WEB_PLACES_PER_LOCAL_ADDRESS);
	(void)fill("127.0.1.", WEB_PLACES_LOOPBACK - WEB_PLACES_PER_LOCAL_ADDRESS);
	(void)fill("", WEB_PLACES_SOCKET);
	assert_int_equal(places_count(&places, WEB_REMOTE), WEB_PLACES_REMOTE);
	assert_int_equal(places_victim(&places, arrive("10.0.1.1"))->origin, WEB_REMOTE);
	assert_int_equal(places_victim(&places, arrive("127.0.1.1"))->origin, WEB_LOOPBACK);
	assert_int_equal(places_victim(&places, arrive(""))->origin, WEB_SOCKET);
}

/* All places are taken by who has asked and not got his answer yet. */
static void all_are_answering(void)
{
	list_for_each(pl, &places.all, struct place, link)
		pl->answering = true;
}

static void test_who_holds_most_loses_one(void **state)
{
	struct place *one, *many;

	(void)state;
	one = fill("10.0.0.1", 1);
	many = fill("10.0.0.2", WEB_PLACES_PER_ADDRESS);
	(void)fill("10.0.1.", WEB_PLACES_REMOTE - WEB_PLACES_PER_ADDRESS - 1);
	all_are_answering();
	assert_ptr_equal(places_victim(&places, arrive("10.0.2.1")), many);
	many->leaving = true; /* counts no more: the newcomer has its place */
	assert_int_equal(places_count(&places, WEB_REMOTE), WEB_PLACES_REMOTE);
	assert_ptr_not_equal(places_victim(&places, arrive("10.0.2.2")), one);
}

/* … but not while there are places that nobody needs, whoever holds them. */
static void test_places_that_nobody_needs_go_first(void **state)
{
	struct place *silent, *kept, *newcomer;

	(void)state;
	silent = fill("10.0.0.1", 1);
	kept = fill("10.0.0.2", 1);
	(void)fill("10.0.0.3", WEB_PLACES_PER_ADDRESS);
	(void)fill("10.0.1.", WEB_PLACES_REMOTE - WEB_PLACES_PER_ADDRESS - 2);
	all_are_answering();
	newcomer = arrive("10.0.2.1");
	silent->answering = kept->answering = false;
	silent->since.ns = newcomer->since.ns - (WEB_STALE_MS + 1) * NS_PER_MS;
	kept->since.ns = newcomer->since.ns;
	kept->answered = true;
	assert_ptr_equal(places_victim(&places, newcomer), silent);
	silent->leaving = true;
	assert_ptr_equal(places_victim(&places, arrive("10.0.2.2")), kept);
}

static void test_an_address_has_its_share(void **state)
{
	struct place *first, *newcomer;

	(void)state;
	first = fill("10.0.0.1", WEB_PLACES_PER_ADDRESS);
	(void)fill("10.0.0.2", 1);
	newcomer = arrive("10.0.0.1");
	assert_ptr_equal(places_victim(&places, newcomer), first);
	first->answering = true; /* then the oldest of those that only wait */
	assert_ptr_not_equal(places_victim(&places, newcomer), first);
	all_are_answering();
	assert_ptr_equal(places_victim(&places, newcomer), first);
}

/* Clients in a hurry do not push out one that has just come and was not heard yet; when all are such, the newcomer
 * leaves. */
static void test_who_has_just_come_is_spared(void **state)
{
	struct place *first, *newcomer;

	(void)state;
	first = fill("127.0.0.1", WEB_PLACES_PER_LOCAL_ADDRESS);
	newcomer = arrive("127.0.0.1");
	list_for_each(pl, &places.all, struct place, link)
		pl->since = newcomer->since;
	assert_ptr_equal(places_victim(&places, newcomer), newcomer);
	first->fresh = false; /* there was a run: it could have asked */
	assert_ptr_equal(places_victim(&places, newcomer), first);
}

/* Who has a /64 has more addresses than we have places. */
static void test_ipv6_counts_by_the_64(void **state)
{
	struct place *first;

	(void)state;
	first = fill("fd00:1:2:3::", WEB_PLACES_PER_ADDRESS);
	(void)fill("fd00:1:2:4::", 1);
	assert_ptr_equal(places_victim(&places, arrive("fd00:1:2:3:4:5:6:7")), first);
}

static void test_late(void **state)
{
	static const struct {
		bool answering, large;
		int64_t most_s;
	} rows[] = {{false, false, WEB_REQUEST_S}, {true, false, WEB_REQUEST_S}, {true, true, WEB_LARGE_S}};
	struct place *pl = arrive("10.0.0.1");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		pl->answering = rows[i].answering;
		pl->large = rows[i].large;
		assert_false(place_is_late(pl, mono_add_ms(pl->since, rows[i].most_s * MS_PER_S)));
		assert_true(place_is_late(pl, mono_add_ms(pl->since, rows[i].most_s * MS_PER_S + 1)));
	}
	pl->leaving = true;
	assert_false(place_is_late(pl, mono_add_ms(pl->since, MS_PER_S * MS_PER_S)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_origins, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_strangers_take_no_place_of_this_machine, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_who_holds_most_loses_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_an_address_has_its_share, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_places_that_nobody_needs_go_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_who_has_just_come_is_spared, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_ipv6_counts_by_the_64, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_late, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
