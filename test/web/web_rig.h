/* web_rig.h — a server and its clients, all in one loop: a client sends what it has as fast as it is taken, and reads
 * to the end */
#pragma once
#include "loop/loop.h"
#include "web/server.h"

extern struct loop *loop;
extern struct web *web;

struct client {
	int fd;
	struct io *io;
	struct buf out, in;
	size_t sent, step; /* step: at most this many bytes at a time, 0 = all */
	bool half_close, closed;
	bool mute; /* never reads */
};

#define CLOSE " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

void client_start(struct client *c, const char *text);                          /* text NULL: says nothing */
void client_start_from(struct client *c, const char *source, const char *text); /* an address of 127.0.0.0/8 */
void client_start_path(struct client *c, const char *path, const char *text);
void client_fini(struct client *c);
int exchange(struct client *c, const char *text); /* start, to the end; the status, 0 = no answer */
int status_of(const struct client *c);
const char *body_of(const struct client *c);
