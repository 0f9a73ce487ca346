/* request.c — a pod's requests, as kube-scheduler counts them */
#include "model/request.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"

/* Where we are, and the first fault on the way. A part without a name (of the status) has no faults to tell. */
struct walk {
	char *fault; /* REQUEST_FAULT_SIZE, or NULL */
	int r;
};

static void note_fault(struct walk *w, const char *where, const char *list, const char *name, const char *text)
{
	if (w->r == 0 && w->fault)
		(void)snprintf(w->fault, REQUEST_FAULT_SIZE, "%s.%s.%s: invalid quantity \"%.40s\"", where, list, name,
			       text);
	w->r = -EINVAL;
}

/* A quantity is a string, but small ones arrive as numbers from those who write by hand. */
static int read_quantity(const json_object *v, int (*parse)(const char *, int64_t *), int64_t *out)
{
	int64_t n;
	int r = parse(json_is_str(v) ? json_str(v) : json_text(v), &n);

	if (r < 0 || n < 0)
		return -EINVAL;
	*out = n;
	return 0;
}

/* Overwrite what the list `name` of `o` holds; what it does not name, or what cannot be read, stays. */
static void take_list(struct walk *w, const json_object *o, const char *where, const char *name, struct resources *r)
{
	const json_object *list = json_get_key(o, name), *cpu = json_get_key(list, "cpu"),
			  *mem = json_get_key(list, "memory");

	if (cpu && read_quantity(cpu, quantity_parse_milli, &r->cpu_milli) < 0)
		note_fault(w, where, name, "cpu", json_is_str(cpu) ? json_str(cpu) : json_text(cpu));
	if (mem && read_quantity(mem, quantity_parse, &r->mem_bytes) < 0)
		note_fault(w, where, name, "memory", json_is_str(mem) ? json_str(mem) : json_text(mem));
}

struct resources resources_of(const json_object *list)
{
	const json_object *cpu = json_get_key(list, "cpu"), *mem = json_get_key(list, "memory"),
			  *pods = json_get_key(list, "pods");
	struct resources r = { 0 };

	if (cpu)
		(void)read_quantity(cpu, quantity_parse_milli, &r.cpu_milli);
	if (mem)
		(void)read_quantity(mem, quantity_parse, &r.mem_bytes);
	if (pods)
		(void)read_quantity(pods, quantity_parse, &r.pods);
	return r;
}

static json_object *status_of(const json_object *statuses, const char *container)
{
	for (size_t i = 0; i < json_len(statuses); i++)
		if (str_eq(json_str(json_get_key(json_at(statuses, i), "name")), container))
			return json_at(statuses, i);
	return NULL;
}

/* `statuses` is NULL unless a resize is under way: then the larger of wanted, allocated and actual counts. */
static struct resources container_request(struct walk *w, const json_object *container, const char *where,
					  const json_object *statuses)
{
	const json_object *wanted = json_get_key(container, "resources");
	json_object *status = statuses ? status_of(statuses, json_str(json_get_key(container, "name"))) : NULL;
	struct resources r = { 0 }, other;

	take_list(w, wanted, where, "limits", &r); /* the default of what is not requested */
	take_list(w, wanted, where, "requests", &r);
	if (!status)
		return r;
	other = resources_of(json_get_key(status, "allocatedResources"));
	resources_max(&r, &other);
	other = resources_of(json_get_key(json_get_key(status, "resources"), "requests"));
	resources_max(&r, &other);
	return r;
}

static bool is_sidecar(const json_object *init_container)
{
	return str_eq(json_str(json_get_key(init_container, "restartPolicy")), "Always");
}

static bool is_resizing(const json_object *status)
{
	const json_object *all = json_get_key(status, "conditions");

	for (size_t i = 0; i < json_len(all); i++) {
		const json_object *c = json_at(all, i);
		const char *type = json_str(json_get_key(c, "type"));

		if ((str_eq(type, "PodResizePending") || str_eq(type, "PodResizeInProgress")) &&
		    str_eq(json_str(json_get_key(c, "status")), "True"))
			return true;
	}
	return false;
}

/* Of all containers: the most that they take at one time. */
static struct resources containers_request(struct walk *w, const json_object *spec, const json_object *status)
{
	const json_object *containers = json_get_key(spec, "containers"), *inits = json_get_key(spec, "initContainers");
	bool resizing = is_resizing(status);
	const json_object *statuses = resizing ? json_get_key(status, "containerStatuses") : NULL;
	const json_object *init_statuses = resizing ? json_get_key(status, "initContainerStatuses") : NULL;
	struct resources sum = { 0 }, sidecars = { 0 }, peak = { 0 }, r;
	char where[64];

	for (size_t i = 0; i < json_len(containers); i++) {
		(void)snprintf(where, sizeof(where), "spec.containers[%zu].resources", i);
		r = container_request(w, json_at(containers, i), where, statuses);
		resources_add(&sum, &r);
	}
	for (size_t i = 0; i < json_len(inits); i++) {
		(void)snprintf(where, sizeof(where), "spec.initContainers[%zu].resources", i);
		r = container_request(w, json_at(inits, i), where, init_statuses);
		resources_add(&r, &sidecars); /* it runs beside the sidecars started before it */
		if (is_sidecar(json_at(inits, i)))
			sidecars = r;
		resources_max(&peak, &r);
	}
	resources_add(&sum, &sidecars);
	resources_max(&sum, &peak);
	return sum;
}

int pod_request(const json_object *spec, const json_object *status, struct resources *out_request,
		char fault[REQUEST_FAULT_SIZE])
{
	struct walk w = { .fault = fault };
	const json_object *own = json_get_key(spec, "resources");
	struct resources sum = containers_request(&w, spec, status), most = { 0 }, r = { 0 };

	/* Of the whole pod: a limit counts where nothing at all is requested, a request always. */
	take_list(&w, own, "spec.resources", "limits", &most);
	sum.cpu_milli = sum.cpu_milli ? sum.cpu_milli : most.cpu_milli;
	sum.mem_bytes = sum.mem_bytes ? sum.mem_bytes : most.mem_bytes;
	take_list(&w, own, "spec.resources", "requests", &sum);
	take_list(&w, spec, "spec", "overhead", &r);
	resources_add(&sum, &r);
	sum.pods = 1;
	*out_request = sum;
	return w.r;
}
