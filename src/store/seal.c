/* seal.c — AES-256-GCM by libcrypto's EVP interface
 *
 * A new key file is written under another name and linked into place: it is there whole or not at all, and when two
 * start at once the first one's stays. Keys live in memory of their own that is wiped when it is given back.
 */
#include "store/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

enum { KEY_SIZE = 32, NONCE_SIZE = 12, TAG_SIZE = 16, OVERHEAD = NONCE_SIZE + TAG_SIZE };

struct key {
	char id[SEAL_ID_SIZE];
	unsigned char bytes[KEY_SIZE];
};

struct seal {
	struct key keys[SEAL_KEYS_MAX];
	size_t count;
};

static int random_bytes(void *out, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t k = getrandom((char *)out + got, n - got, 0);

		if (k < 0 && errno != EINTR)
			return -errno;
		got += k > 0 ? (size_t)k : 0;
	}
	return 0;
}

/* ---- the key file ---- */

static const struct key *key_find(const struct seal *s, const char *id)
{
	for (size_t i = 0; i < s->count; i++)
		if (str_eq(s->keys[i].id, id))
			return &s->keys[i];
	return NULL;
}

static int take_key(struct seal *s, const char *line, size_t n)
{
	size_t id = strcspn(line, " \t");
	cleanup(freep) char *name = str_ndup(line, id < n ? id : n);
	char *coded;
	void *bytes = NULL;
	size_t len = 0;
	int r;

	if (id >= n || !id || id >= SEAL_ID_SIZE || s->count == SEAL_KEYS_MAX || key_find(s, name) ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")])
		return -EINVAL;
	coded = str_ndup(line + id, n - id);
	r = b64_decode(coded, &bytes, &len);
	secret_free(coded, n - id);
	if (r < 0)
		return r;
	if (len == KEY_SIZE) {
		struct key *k = &s->keys[s->count++];

		(void)str_copy(k->id, sizeof(k->id), name);
		memcpy(k->bytes, bytes, KEY_SIZE);
	}
	secret_free(bytes, len);
	return len == KEY_SIZE ? 0 : -EINVAL;
}

static int take_lines(struct seal *s, const char *text)
{
	int r = 0;

	for (const char *p = text; r == 0 && *p;) {
		size_t n = strcspn(p, "\n"), body = n && p[n - 1] == '\r' ? n - 1 : n;

		if (body && *p != '#')
			r = take_key(s, p, body);
		p += n + (p[n] == '\n');
	}
	return r < 0 ? r : s->count ? 0 : -EINVAL;
}

int seal_parse(const char *text, size_t n, struct seal **out_seal)
{
	cleanup(seal_freep) struct seal *s = NULL;
	char *copy;
	int r;

	if (n > SEAL_FILE_MAX || memchr(text, '\0', n))
		return -EINVAL;
	s = mem_new(struct seal);
	copy = str_ndup(text, n);
	r = take_lines(s, copy);
	secret_free(copy, n);
	if (r == 0)
		*out_seal = take(s);
	return r;
}

static int read_keys(const char *path, struct seal **out_seal)
{
	cleanup(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	char text[SEAL_FILE_MAX + 1];
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errno == ELOOP ? -EPERM : -errno;
	if (!S_ISREG(st.st_mode) || st.st_mode & 077 || st.st_uid != geteuid())	/* its owner can change who may read it */
		return -EPERM;
	while (len < sizeof(text) && n > 0) {
		n = read(fd, text + len, sizeof(text) - len);
		if (n < 0 && errno != EINTR)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	r = n < 0 ? -errno : seal_parse(text, len, out_seal);
	explicit_bzero(text, sizeof(text));
	return r;
}

static int make_line(char *out, size_t size)
{
	unsigned char key[KEY_SIZE];
	char coded[B64_SIZE(KEY_SIZE)], now[WALL_TEXT_SIZE], id[9];
	int r = random_bytes(key, sizeof(key));

	if (r < 0)
		return r;
	b64_encode(key, sizeof(key), coded);
	wall_format(wall_read(), now);		/* the id is its day: the order is what counts */
	(void)snprintf(id, sizeof(id), "%.4s%.2s%.2s", now, now + 5, now + 8);
	(void)snprintf(out, size, "%s %s\n", id, coded);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(coded, sizeof(coded));
	return 0;
}

static int make_file(const char *path)
{
	cleanup(freep) char *temp = str_format("%s.new-%d", path, (int)getpid()), *copy = str_dup(path);
	cleanup(fd_closep) int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	char line[256];
	int r = fd < 0 ? -errno : make_line(line, sizeof(line));

	if (fd < 0)
		return r;
	if (r == 0 && (write(fd, line, strlen(line)) != (ssize_t)strlen(line) || fsync(fd) < 0))
		r = errno ? -errno : -EIO;
	explicit_bzero(line, sizeof(line));
	if (r == 0 && link(temp, path) < 0 && errno != EEXIST)
		r = -errno;
	(void)unlink(temp);
	return r < 0 ? r : file_fsync_dir(dirname(copy));
}

int seal_open(const char *path, struct seal **out_seal)
{
	int r = read_keys(path, out_seal);

	if (r == -ENOENT) {
		r = make_file(path);
		r = r < 0 ? r : read_keys(path, out_seal);
	}
	return r;
}

void seal_free(struct seal *s)
{
	secret_free(s, sizeof(*s));
}

void seal_freep(struct seal **s)
{
	seal_free(*s);
}

const char *seal_first_id(const struct seal *s)
{
	return s->keys[0].id;
}

size_t seal_key_count(const struct seal *s)
{
	return s->count;
}

/* ---- sealing ---- */

static void ctx_freep(EVP_CIPHER_CTX **c)
{
	EVP_CIPHER_CTX_free(*c);	/* wipes the key schedule */
}

/* Authenticate the context and the key's id; the lengths cannot be shifted, since an id has no NUL and ends with one. */
static bool add_context(EVP_CIPHER_CTX *c, bool seal, const char *id, const char *context)
{
	int (*update)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int) =
		seal ? EVP_EncryptUpdate : EVP_DecryptUpdate;
	int n;

	return update(c, NULL, &n, (const unsigned char *)id, (int)strlen(id) + 1) == 1 &&
	       update(c, NULL, &n, (const unsigned char *)context, (int)strlen(context)) == 1;
}

int seal_close(const struct seal *s, const char *context, const void *plain, size_t n, struct buf *out)
{
	cleanup(ctx_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	cleanup(freep) unsigned char *box = n <= INT32_MAX - OVERHEAD ? mem_try(n + OVERHEAD, 1) : NULL;
	int len = 0, end = 0, r;

	if (!c || !box)
		return -ENOMEM;
	r = random_bytes(box, NONCE_SIZE);
	if (r < 0)
		return r;
	if (EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, s->keys[0].bytes, box) != 1 ||
	    !add_context(c, true, s->keys[0].id, context) ||
	    EVP_EncryptUpdate(c, box + NONCE_SIZE, &len, plain, (int)n) != 1 ||
	    EVP_EncryptFinal_ex(c, box + NONCE_SIZE + len, &end) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, box + NONCE_SIZE + n) != 1)
		return -EIO;
	buf_add(out, box, n + OVERHEAD);
	return 0;
}

int seal_unseal(const struct seal *s, const char *id, const char *context, const void *sealed, size_t n, struct buf *out_plain)
{
	cleanup(ctx_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	const struct key *k = key_find(s, id);
	const unsigned char *box = sealed;
	size_t plain_n = n - OVERHEAD;
	unsigned char *plain;
	int len = 0, end = 0;
	bool ok;

	if (!k)
		return SEAL_E_NO_KEY;
	if (n < OVERHEAD || n > INT32_MAX)
		return SEAL_E_FORGED;
	plain = mem_try(plain_n + 1, 1);
	if (!c || !plain) {
		free(plain);
		return -ENOMEM;
	}
	ok = EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, k->bytes, box) == 1 && add_context(c, false, id, context) &&
	     EVP_DecryptUpdate(c, plain, &len, box + NONCE_SIZE, (int)plain_n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, (void *)(uintptr_t)(box + NONCE_SIZE + plain_n)) == 1 &&
	     EVP_DecryptFinal_ex(c, plain + len, &end) == 1;
	if (!ok) {
		secret_free(plain, plain_n);
		return SEAL_E_FORGED;
	}
	buf_wipe(out_plain);
	*out_plain = (struct buf){ .data = (char *)plain, .len = plain_n, .cap = plain_n + 1 };
	return 0;
}
