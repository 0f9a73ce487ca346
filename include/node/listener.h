/* node/listener.h — which socket listens on a port of this machine: is it still the one that was there before? */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include "base/endpoint.h"

/* The inode of the TCP socket that listens at `at`, or at the same port of every address. A process that starts anew has another
 * one. `tables`: a folder like /proc/net. 0, -ENOENT (nobody listens there) or -errno. */
int listener_inode(const char *tables, const struct endpoint *at, uint64_t *out_inode);
/* The same in one table that is open. */
int listener_find(FILE *table, const struct endpoint *at, uint64_t *out_inode);
