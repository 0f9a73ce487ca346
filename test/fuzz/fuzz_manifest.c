/* fuzz_manifest.c — any JSON as a file of the static-pod folder: whose copy is it, which containers does it have
 *
 * A mark is proven by the pod's own uid, which nobody guesses: so it is asked twice, as it is and with the uid that its
 * annotations ask for.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "model/name.h"
#include "model/pod.h"
#include "node/manifest.h"
#include "node/render.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good)
		abort();
}

static void identify(const json_object *pod)
{
	char uid[UUID_TEXT_SIZE];
	unsigned epoch = 0;

	if (manifest_mark_of(pod, uid, sizeof(uid), &epoch) == 0)
		must(name_is_uid(uid) && epoch > 0);
}

static void prove(json_object *pod)
{
	json_object *meta = json_get_key(pod, "metadata");
	const json_object *marks = json_get_key(meta, "annotations");
	const char *uid = json_str(json_get_key(marks, ANNOTATION_ORIGINAL_UID));
	const char *epoch = json_str(json_get_key(marks, ANNOTATION_EPOCH));
	char expected[UUID_TEXT_SIZE];
	int64_t n;

	if (!uid || !epoch || num_parse_i64(epoch, 1, UINT32_MAX, &n) < 0)
		return;
	render_uid(uid, (uint32_t)n, expected);
	json_set_str(meta, "uid", expected);
}

/* Their names become paths below the folder of logs. */
static void containers(const json_object *pod)
{
	cleanup(freep) char *names = manifest_containers_of(pod);
	char *rest = NULL;

	for (char *name = names ? strtok_r(names, " ", &rest) : NULL; name; name = strtok_r(NULL, " ", &rest))
		must(name_is_label(name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(json_putp) json_object *pod = NULL;

	if (json_parse((const char *)data, size, &pod) < 0)
		return 0;
	identify(pod);
	containers(pod);
	prove(pod);
	identify(pod);
	return 0;
}
