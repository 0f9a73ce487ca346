/* test_store_seal.c — the key file, sealing, and Secrets as rows: wrong keys, flipped bits, swapped rows, rotation */
#include "../support.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include "store/seal.h"
#include "store/store.h"

#define KEY_A "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
#define KEY_B "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="
#define PLAIN "{\"data\":{\"password\":\"Y29ycmVjdC1ob3JzZQ==\"}}"

static char dir[TMP_SIZE], path[TMP_SIZE + 8], db[TMP_SIZE + 8];

static int setup(void **state)
{
	(void)state;
	tmp_new(dir);
	(void)snprintf(path, sizeof(path), "%s/key", dir);
	(void)snprintf(db, sizeof(db), "%s/s.db", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tmp_free(dir);
	return 0;
}

static struct seal *seal_of(const char *text)
{
	struct seal *s = NULL;

	tmp_write(path, text);
	assert_int_equal(seal_open(path, &s), 0);
	return s;
}

static void test_file_is_made_once(void **state)
{
	cleanup(seal_freep) struct seal *a = NULL, *b = NULL;
	cleanup(buf_fini) struct buf box = BUF_INIT, plain = BUF_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(seal_open(path, &a), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(tmp_count(dir), 1); /* no temporary file is left */
	assert_int_equal(seal_open(path, &b), 0);
	assert_string_equal(seal_first_id(a), seal_first_id(b));
	assert_int_equal(seal_close(a, "c", "x", 1, &box), 0);
	assert_int_equal(seal_unseal(b, seal_first_id(b), "c", box.data, box.len, &plain), 0);
	assert_int_equal(plain.len, 1);
}

static void test_file_is_refused(void **state)
{
	static const char *const bad[] = {"", "#\n", "a\n", "a \n", "a QUFB\n", KEY_A "\n", "a b " KEY_A "\n", "a!b " KEY_A "\n",
					  "a " KEY_A "\na " KEY_B "\n", "a " KEY_A "\nb\n"};
	struct seal *s = NULL;
	cleanup(freep) char *other = str_format("%s.link", path);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		tmp_write(path, bad[i]);
		if (seal_open(path, &s) != -EINVAL)
			fail_msg("\"%s\" is no key file", bad[i]);
	}
	tmp_write(path, "# ours\r\n\nnew " KEY_A "\nold.1 " KEY_B);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(seal_open(path, &s), -EPERM);
	assert_int_equal(chmod(path, 0604), 0);
	assert_int_equal(seal_open(path, &s), -EPERM);
	assert_int_equal(seal_open(dir, &s), -EPERM);
	assert_int_equal(seal_open(tmp_path(dir, "no/key"), &s), -ENOENT);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(symlink(path, other), 0);
	assert_int_equal(seal_open(other, &s), -EPERM);
	assert_int_equal(unlink(other), 0);
	assert_int_equal(symlink("nowhere", other), 0);	/* none is made where it points */
	assert_int_equal(seal_open(other, &s), -EPERM);
	assert_int_equal(unlink(other), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 65534, 65534), 0);
		assert_int_equal(seal_open(path, &s), -EPERM);
		assert_int_equal(chown(path, 0, 0), 0);
	}
	assert_null(s);
	assert_int_equal(chmod(path, 0400), 0);
	assert_int_equal(seal_open(path, &s), 0);
	assert_int_equal(seal_key_count(s), 2);
	assert_string_equal(seal_first_id(s), "new");
	seal_free(s);
}

static void test_only_the_same_opens(void **state)
{
	cleanup(seal_freep) struct seal *s = seal_of("a " KEY_A "\nb " KEY_B "\n"), *other = seal_of("a " KEY_B "\n");
	cleanup(buf_fini) struct buf box = BUF_INIT, again = BUF_INIT, plain = BUF_INIT;

	(void)state;
	assert_int_equal(seal_close(s, "Secret/shop/tls", PLAIN, strlen(PLAIN), &box), 0);
	assert_int_equal(seal_close(s, "Secret/shop/tls", PLAIN, strlen(PLAIN), &again), 0);
	assert_int_equal(box.len, strlen(PLAIN) + 28);
	assert_memory_not_equal(box.data, again.data, box.len); /* another nonce */
	assert_int_equal(seal_unseal(s, "a", "Secret/shop/tls", box.data, box.len, &plain), 0);
	assert_memory_equal(plain.data, PLAIN, strlen(PLAIN));
	assert_int_equal(seal_unseal(s, "a", "Secret/shop/tlt", box.data, box.len, &plain), SEAL_E_FORGED);
	assert_int_equal(seal_unseal(s, "b", "Secret/shop/tls", box.data, box.len, &plain), SEAL_E_FORGED);
	assert_int_equal(seal_unseal(s, "c", "Secret/shop/tls", box.data, box.len, &plain), SEAL_E_NO_KEY);
	assert_int_equal(seal_unseal(other, "a", "Secret/shop/tls", box.data, box.len, &plain), SEAL_E_FORGED);
	for (size_t n = 0; n < box.len; n++)
		assert_int_equal(seal_unseal(s, "a", "Secret/shop/tls", box.data, n, &plain), SEAL_E_FORGED);
	for (size_t i = 0; i < 8 * box.len; i++) {
		box.data[i / 8] = (char)(box.data[i / 8] ^ 1 << i % 8);
		assert_int_equal(seal_unseal(s, "a", "Secret/shop/tls", box.data, box.len, &plain), SEAL_E_FORGED);
		box.data[i / 8] = (char)(box.data[i / 8] ^ 1 << i % 8);
	}
	assert_memory_equal(plain.data, PLAIN, strlen(PLAIN)); /* untouched by what failed */
}

/* ---- rows ---- */

static struct store *open_store(const char *keys)
{
	char aside[STORE_PATH_SIZE];
	struct store *s = NULL;

	assert_int_equal(store_open(db, &s, aside), 0);
	if (keys)
		store_set_seal(s, seal_of(keys));
	return s;
}

static int put(struct store *s, enum ref_kind kind, const char *name, const char *doc)
{
	const struct object_row row = {
	    .ref = {kind, "shop", name, false}, .version = 7, .gone = !doc, .doc = doc, .len = doc ? strlen(doc) : 0};

	return store_put_object(s, &row);
}

static void see(void *arg, const struct object_row *r)
{
	buf_addf(arg, "%s/%s v%lld%s state=%d %.*s;", r->ref.ns, r->ref.name, (long long)r->version, r->gone ? " gone" : "", r->state,
		 (int)r->len, r->doc ? (const char *)r->doc : "");
}

static void expect(struct store *s, enum ref_kind kind, const char *name, const char *want)
{
	cleanup(buf_fini) struct buf seen = BUF_INIT;

	buf_adds(&seen, "");
	assert_int_equal(store_get_object(s, &(struct ref){kind, "shop", name, false}, see, &seen), 0);
	assert_string_equal(seen.data, want);
}

static void run_sql(const char *sql)
{
	sqlite3 *raw = NULL;

	assert_int_equal(sqlite3_open(db, &raw), SQLITE_OK);
	if (sqlite3_exec(raw, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(raw));
	assert_int_equal(sqlite3_close(raw), SQLITE_OK);
}

static void test_rows(void **state)
{
	struct store *s = open_store("a " KEY_A "\n");
	cleanup(buf_fini) struct buf all = BUF_INIT, file = BUF_INIT;

	(void)state;
	assert_int_equal(put(s, REF_CONFIG_MAP, "x", "{}"), 0);
	assert_int_equal(put(s, REF_SECRET, "x", PLAIN), 0);
	assert_int_equal(put(s, REF_SECRET, "none", NULL), 0);
	expect(s, REF_CONFIG_MAP, "x", "shop/x v7 state=0 {};");
	expect(s, REF_SECRET, "x", "shop/x v7 state=0 " PLAIN ";");
	expect(s, REF_SECRET, "none", "shop/none v7 gone state=0 ;");
	expect(s, REF_SECRET, "unheard", "");
	assert_int_equal(store_each_object(s, see, &all), 0);
	assert_non_null(strstr(all.data, "gone"));
	assert_int_equal(store_delete_object(s, &(struct ref){REF_SECRET, "shop", "none", false}), 0);
	expect(s, REF_SECRET, "none", "");
	store_close(s);
	assert_int_equal(file_read(db, 1 << 24, &file), 0);
	assert_null(memmem(file.data, file.len, "Y29ycmVjdC1ob3JzZQ", 18));
	s = open_store(NULL);
	expect(s, REF_SECRET, "x", "shop/x v7 state=1 ;"); /* STORE_E_NO_KEY */
	assert_int_equal(put(s, REF_SECRET, "y", PLAIN), -ENOKEY);
	expect(s, REF_CONFIG_MAP, "x", "shop/x v7 state=0 {};");
	store_close(s);
}

static void test_swapped_and_flipped_rows_do_not_open(void **state)
{
	struct store *s = open_store("a " KEY_A "\nb " KEY_B "\n");

	(void)state;
	assert_int_equal(put(s, REF_SECRET, "x", PLAIN), 0);
	assert_int_equal(put(s, REF_SECRET, "y", "{\"data\":{}}"), 0);
	store_close(s);
	run_sql("UPDATE objects SET doc=(SELECT doc FROM objects WHERE name='y') WHERE name='x'");
	s = open_store("a " KEY_A "\nb " KEY_B "\n");
	expect(s, REF_SECRET, "x", "shop/x v7 state=2 ;"); /* STORE_E_FORGED */
	expect(s, REF_SECRET, "y", "shop/y v7 state=0 {\"data\":{}};");
	store_close(s);
	run_sql("UPDATE objects SET key='b' WHERE name='y'");
	s = open_store("a " KEY_A "\nb " KEY_B "\n");
	expect(s, REF_SECRET, "y", "shop/y v7 state=2 ;");
	store_close(s);
}

static void test_rotation(void **state)
{
	struct store *s = open_store("a " KEY_A "\n");
	int sealed = -1, unreadable = -1;

	(void)state;
	assert_int_equal(put(s, REF_SECRET, "x", PLAIN), 0);
	assert_int_equal(put(s, REF_SECRET, "gone", NULL), 0);
	store_set_seal(s, seal_of("b " KEY_B "\na " KEY_A "\n"));
	assert_int_equal(store_reseal(s, &sealed, &unreadable), 0);
	assert_int_equal(sealed, 1);
	assert_int_equal(unreadable, 0);
	assert_int_equal(store_reseal(s, &sealed, &unreadable), 0);
	assert_int_equal(sealed, 0); /* all are sealed with the first key */
	assert_int_equal(put(s, REF_SECRET, "newer", PLAIN), 0);
	store_close(s);
	s = open_store("b " KEY_B "\n"); /* the old key is not needed any more */
	expect(s, REF_SECRET, "x", "shop/x v7 state=0 " PLAIN ";");
	store_set_seal(s, seal_of("c " KEY_A "\n"));
	assert_int_equal(store_reseal(s, &sealed, &unreadable), 0);
	assert_int_equal(sealed, 0);
	assert_int_equal(unreadable, 2);
	expect(s, REF_SECRET, "x", "shop/x v7 state=1 ;");
	store_set_seal(s, NULL);
	assert_int_equal(store_reseal(s, &sealed, &unreadable), -ENOKEY);
	store_close(s);
}

static void see_readiness(void *arg, const char *uid, bool ready, const char *reason)
{
	buf_addf(arg, "%s %d %s;", uid, ready, reason);
}

static void test_readiness_rows(void **state)
{
	struct store *s = open_store(NULL);
	cleanup(buf_fini) struct buf seen = BUF_INIT;

	(void)state;
	assert_int_equal(store_put_readiness(s, "u1", false, "why"), 0);
	assert_int_equal(store_put_readiness(s, "u1", true, ""), 0);
	assert_int_equal(store_put_readiness(s, "u2", false, "so"), 0);
	assert_int_equal(store_delete_readiness(s, "u1"), 0);
	assert_int_equal(store_each_readiness(s, see_readiness, &seen), 0);
	assert_string_equal(seen.data, "u2 0 so;");
	store_close(s);
}

static void see_claim(void *arg, const struct claim *c)
{
	buf_addf(arg, "%s %s;", c->pod_uid, c->node);
}

/* A store of the first version: the tables of today are added, what it held stays. */
static void test_migration_of_the_first_version(void **state)
{
	cleanup(buf_fini) struct buf seen = BUF_INIT;
	struct store *s;
	char *value;

	(void)state;
	s = open_store(NULL);
	assert_int_equal(store_put_meta(s, "k", "v"), 0);
	store_close(s);
	run_sql("DROP TABLE events; DROP TABLE objects; DROP TABLE readiness; ALTER TABLE peers DROP COLUMN site;"
		"ALTER TABLE pods DROP COLUMN copy_of; DROP TABLE claims;"
		"CREATE TABLE claims(pod TEXT PRIMARY KEY, node TEXT NOT NULL, epoch INTEGER, rank INTEGER, mirror INTEGER,"
		" state INTEGER, at INTEGER) WITHOUT ROWID; INSERT INTO claims VALUES('p1','n1',1,0,9,0,0);"
		"PRAGMA user_version=1");
	s = open_store("a " KEY_A "\n");
	assert_int_equal(store_each_claim(s, see_claim, &seen), 0);
	assert_string_equal(seen.data, "p1 n1;");
	value = store_get_meta(s, "k");
	assert_string_equal(value, "v");
	free(value);
	assert_int_equal(put(s, REF_SECRET, "x", PLAIN), 0);
	expect(s, REF_SECRET, "x", "shop/x v7 state=0 " PLAIN ";");
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_file_is_made_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_file_is_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_only_the_same_opens, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_swapped_and_flipped_rows_do_not_open, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_readiness_rows, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_migration_of_the_first_version, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
