/* store/seal.h — sealing Secrets: AES-256-GCM with keys from a file
 *
 * The key file is not the database: who has only one of them has nothing. One key a line, `ID BASE64` (32 bytes), the
 * newest first; lines that begin with '#' are skipped. What is sealed now is sealed with the first key; the others
 * only open what is older.
 *
 * A sealed text is a random nonce (96 bits), the ciphertext and the tag. Its context (kind, namespace and name of the
 * object) and the key's id are authenticated with it, so that a row moved to another name does not open. NIST SP
 * 800-38D allows 2^32 random nonces for one key: we seal a few a day.
 */
#pragma once
#include <stddef.h>
#include "base/str.h"

#define SEAL_KEYS_MAX 16
#define SEAL_ID_SIZE 33			/* letters, digits, '.', '_', '-' */
#define SEAL_FILE_MAX 4096

enum { SEAL_E_NO_KEY = 1,		/* the key that sealed it is not in the file */
       SEAL_E_FORGED };			/* it does not open: another context, another key of that id, or damaged */

struct seal;

/* Read the keys; a file that is not there is made with one key (0600, synced). 0, -EPERM (group or others may read or
 * write it, it is another user's, a symbolic link, or no regular file), -EINVAL (no keys, or not this format) or -errno. */
int seal_open(const char *path, struct seal **out_seal);
/* From the bytes of such a file: 0 and *out_seal (the caller's, seal_free), or -EINVAL (no keys, or not this format). */
int seal_parse(const char *text, size_t n, struct seal **out_seal);
void seal_free(struct seal *s);		/* NULL-safe; wipes */
void seal_freep(struct seal **s);
const char *seal_first_id(const struct seal *s);
size_t seal_key_count(const struct seal *s);

/* Seal with the first key into *out (appended). 0 or -errno. */
int seal_close(const struct seal *s, const char *context, const void *plain, size_t n, struct buf *out);
/* Open what key `id` sealed. 0, SEAL_E_NO_KEY, SEAL_E_FORGED or -errno. buf_wipe() the plain text. */
int seal_unseal(const struct seal *s, const char *id, const char *context, const void *sealed, size_t n, struct buf *out_plain);
