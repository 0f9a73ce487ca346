/* web/web_int.h — shared by the files of web/: sockets that listen, and the budget of a tick */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include "loop/loop.h"
#include "web/server.h"

union web_address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_storage space;
};

/* ---- listen.c ---- */

/* A listening socket that we accept from ourselves, so that nobody else can stop listening. */
struct listener {
	struct loop *loop;
	struct io *io;
	struct timer *rest;            /* runs while descriptors or memory are short */
	void (*on_waiting)(void *arg); /* somebody waits: listener_accept() */
	void (*on_arrival)(void *arg, int fd, const union web_address *from, socklen_t n); /* takes over `fd` */
	void *arg;
	bool paused, is_short; /* is_short: of descriptors or memory, and told */
	int fd;
	uint16_t port; /* 0 = a Unix socket */
	char *path;    /* of a Unix socket: unlinked at the end if it is still this one */
	dev_t dev;
	ino_t ino;
};

/* Listen on "host:port". The caller fills in loop, on_… and arg before, and starts with listener_pause(l, false). 0 or
 * -errno. */
int listener_open(struct listener *l, const char *address);
/* The same on a Unix socket of mode 0600. A stale one is replaced; -EADDRINUSE: another process lives behind it;
 * -EEXIST: the path is something else. */
int listener_open_path(struct listener *l, const char *path);
int listener_accept(struct listener *l); /* of those that wait WEB_ACCEPT_MAX at most; how many came */
void listener_pause(struct listener *l, bool paused);
void listener_close(struct listener *l); /* of a zeroed one too */
