/* test_model_request.c — what a pod requests: defaults from limits, every kind of container, what cannot be read */
#include "../support.h"

#include "base/json.h"
#include "model/request.h"

static json_object *parse(const char *text)
{
	json_object *o = NULL;
	cleanup(freep) char *quoted = str_dup(text);

	for (char *p = quoted; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	if (json_parse(quoted, strlen(quoted), &o) != 0)
		fail_msg("no JSON: %s", quoted);
	return o;
}

#define R(list, cpu, mem) "'" list "':{'cpu':'" cpu "','memory':'" mem "'}"
#define C(what) "{'resources':{" what "}}"

static const struct {
	const char *spec;
	int64_t cpu, mem;
	const char *fault; /* NULL: all can be read */
} rows[] = {
    {"{}", 0, 0, NULL},
    {"{'containers':[" C(R("requests", "1", "10")) "," C(R("requests", "500m", "1")) "]}", 1500, 11, NULL},
    /* limits where nothing is requested, each resource for itself */
    {"{'containers':[" C(R("limits", "2", "7")) "]}", 2000, 7, NULL},
    {"{'containers':[" C("'requests':{'cpu':'1'}," R("limits", "2", "7")) "]}", 1000, 7, NULL},
    {"{'containers':[" C("'requests':{'cpu':'0'}," R("limits", "2", "7")) "]}", 0, 7, NULL},
    {"{'initContainers':[" C(R("limits", "2", "7")) "],'containers':[" C(R("limits", "1", "9")) "]}", 2000, 9, NULL},
    /* of the whole pod: a limit only where the containers request nothing */
    {"{'resources':{" R("limits", "4", "8") "},'containers':[{}]}", 4000, 8, NULL},
    {"{'resources':{" R("limits", "4", "8") "},'containers':[" C("'requests':{'cpu':'1'}") "]}", 1000, 8, NULL},
    {"{'resources':{" R("requests", "4",
			"8") "},'containers':[" C(R("requests", "9", "9")) "],'overhead':{'cpu':'100m'}}",
     4100, 8, NULL},
    /* two huge requests, and one that 64 bits do not hold, are never little */
    {"{'containers':[" C(R("requests", "5e15", "5Ei")) "," C(R("requests", "5e15", "5Ei")) "]}", INT64_MAX, INT64_MAX,
     NULL},
    {"{'containers':[" C(R("requests", "1e30", "99Ei")) "]}", INT64_MAX, INT64_MAX, NULL},
    /* what cannot be read is named */
    {"{'containers':[{},{'resources':{'requests':{'cpu':'1 core','memory':'5'}}}]}", 0, 5,
     "spec.containers[1].resources.requests.cpu: invalid quantity \"1 core\""},
    {"{'containers':[{'resources':{'limits':{'memory':'1GB'}}}]}", 0, 0,
     "spec.containers[0].resources.limits.memory: invalid quantity \"1GB\""},
    {"{'initContainers':[{'resources':{'requests':{'cpu':'-1'}}}]}", 0, 0,
     "spec.initContainers[0].resources.requests.cpu: invalid quantity \"-1\""},
    {"{'resources':{'requests':{'cpu':true}}}", 0, 0, "spec.resources.requests.cpu: invalid quantity \"true\""},
    {"{'overhead':{'memory':'x'},'resources':{'requests':{'cpu':'y'}}}", 0, 0,
     "spec.resources.requests.cpu: invalid quantity \"y\""},
    {"{'overhead':{'memory':{}}}", 0, 0, "spec.overhead.memory: invalid quantity \"{}\""},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_putp) json_object *spec = parse(rows[i].spec);
		char fault[REQUEST_FAULT_SIZE] = "";
		struct resources got;
		int r = pod_request(spec, NULL, &got, fault);

		if (got.cpu_milli != rows[i].cpu || got.mem_bytes != rows[i].mem || got.pods != 1)
			fail_msg("%s: %lld m, %lld bytes", rows[i].spec, (long long)got.cpu_milli,
				 (long long)got.mem_bytes);
		if (r != (rows[i].fault ? -EINVAL : 0) || !str_eq(fault, str_or(rows[i].fault, "")))
			fail_msg("%s: %d \"%s\"", rows[i].spec, r, fault);
		assert_int_equal(pod_request(spec, NULL, &got, NULL), r); /* nobody need ask which */
	}
}

static void test_list(void **state)
{
	cleanup(json_putp) json_object *list = parse("{'cpu':'3','memory':1000,'pods':'110'}"),
				       *bad = parse("{'cpu':'-3','pods':'x'}");
	struct resources r = resources_of(list);

	(void)state;
	assert_true(r.cpu_milli == 3000 && r.mem_bytes == 1000 && r.pods == 110);
	r = resources_of(bad);
	assert_true(r.cpu_milli == 0 && r.mem_bytes == 0 && r.pods == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
